// SPDX-License-Identifier: Apache-2.0
#include "policy/resource.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>

#include "policy/bgp_spec.h"
#include "policy/field.h"
#include "policy/json_document.h"
#include "policy/salvage.h"
#include "policy/spec.h"
#include "policy/stand_in.h"

namespace vr::policy {

namespace {

constexpr std::string_view kGroup = "projectcalico.org/";
constexpr std::string_view kApiVersion = "projectcalico.org/v3";
constexpr std::string_view kSliceVersion = "discovery.k8s.io/v1";

/// Kinds of Calico's that exist and that we do not act upon.
constexpr std::array<std::string_view, 6> kKnownKinds{
    "BlockAffinity",
    "CalicoNodeStatus",
    "IPAMBlock",
    "IPAMConfiguration",
    "IPAMHandle",
    "KubeControllersConfiguration",
};

std::string text_of(const Field& field, std::string_view key) {
    const auto child = field.child(key);
    return child && child->node().type == Node::Type::Scalar ? child->node().text : std::string();
}

bool is_name(std::string_view name) {
    return name.size() <= 253 && !name.starts_with('.') && std::ranges::all_of(name, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == '-';
           });
}

/// All that Kubernetes and Calico write there.
constexpr std::array<std::string_view, 17> kMetadata{
    "name",
    "namespace",
    "labels",
    "annotations",
    "clusterName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "initializers",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
};

/// Refuses what looks like a misspelling of one of `minded`.  What Kubernetes writes looks like none of them.
Result<void> refuse_misspelt(
    const Field& metadata, std::initializer_list<std::string_view> minded) {
    for (const auto& [key, value] : metadata.node().fields) {
        if (std::ranges::count(kMetadata, key) == 0 && !similar(key, minded).empty()) {
            return unknown_key(metadata.child(key, value), key, minded, Unknown::Refuse);
        }
    }
    return {};
}

void warn_of_unknown(const Field& metadata) {
    for (const auto& [key, value] : metadata.node().fields) {
        if (std::ranges::count(kMetadata, key) == 0) {
            const auto read = std::span{kMetadata}.subspan(1, 3);
            (void)unknown_key(metadata.child(key, value), key, read, Unknown::Warn);
        }
    }
}

/// Whether policy selects objects of this kind by their labels.
bool is_selected(Kind kind) {
    switch (kind) {
        case Kind::EndpointSlice:
        case Kind::GlobalNetworkSet:
        case Kind::HostEndpoint:
        case Kind::NetworkSet:
        case Kind::WorkloadEndpoint:
            return true;
        default:
            return false;
    }
}

/// A misspelt key would lose an object its labels, and with them policy that should meet it, or put it into
/// another namespace.  Where neither means anything, refusing the object would lose more.
Result<void> check_whose_it_is(const Field& metadata, Kind kind) {
    if (is_selected(kind)) {
        if (auto refused = refuse_misspelt(metadata, {"labels"}); !refused) {
            return refused;
        }
    }
    return row_of(kind).namespaced ? refuse_misspelt(metadata, {"namespace"}) : Result<void>{};
}

/// What it is, and its labels.
Result<void> parse_head(const Field& object, Resource& into) {
    const bool is_slice = into.key.kind == Kind::EndpointSlice;
    const std::string_view version = is_slice ? kSliceVersion : kApiVersion;
    if (text_of(object, "apiVersion") != version) {
        return object.error(fmt::format(
            "unknown apiVersion '{}', expected {}", text_of(object, "apiVersion"), version));
    }
    if (!is_name(into.key.name)) {
        return object.error("metadata.name: expected letters, digits, '.', '-' and '_'");
    }
    if (!is_name(into.key.ns) || into.key.ns.find('.') != std::string::npos) {
        return object.error("metadata.namespace: expected letters, digits, '-' and '_'");
    }
    const auto metadata = object.child("metadata");
    if (auto checked = check_whose_it_is(*metadata, into.key.kind); !checked) {
        return checked;
    }
    if (const auto labels = metadata->child("labels")) {
        if (auto parsed = parse_labels(*labels, into.labels); !parsed) {
            return parsed;
        }
    }
    return {};
}

Result<void> parse_object(const Field& object, Resource& into) {
    if (auto refused = refuse_tags(object); !refused) {
        return refused;
    }
    if (auto head = parse_head(object, into); !head) {
        return head;
    }
    const auto metadata = object.child("metadata");
    // An annotation may say that the endpoint is down.
    if (into.key.kind == Kind::WorkloadEndpoint) {
        if (auto refused = refuse_misspelt(*metadata, {"annotations"}); !refused) {
            return refused;
        }
    }
    warn_of_unknown(*metadata);
    for (const auto& [key, value] : object.node().fields) {
        constexpr std::array<std::string_view, 5> kKeys{
            "apiVersion", "kind", "metadata", "spec", "status"};
        if (std::ranges::count(kKeys, key) == 0 && into.key.kind != Kind::EndpointSlice) {
            // A spec that is not found is an empty spec, which for a policy means another thing.
            auto judged = unknown_key(object.child(key, value), key, kKeys, Unknown::RefuseSimilar);
            if (!judged) {
                return judged;
            }
        }
    }
    return parse_spec(object, into);
}

/// What counts in place of an invalid object.
Salvage in_place_of(const Field& object, const Key& key) {
    ResourcePtr closed = stand_in(object, key);
    Resource known;
    known.key = key;
    if (!parse_head(object, known)) {
        return {std::move(closed), {}};
    }
    return salvage(object, std::move(known), std::move(closed));
}

/// Reads one object whose kind is known.
ParsedObject read(const Field& object, const Key& key, std::vector<std::string>& warnings) {
    ParsedObject parsed;
    parsed.key = key;
    parsed.line = object.node().line;
    Resource resource;
    resource.key = key;
    if (auto read = parse_object(object, resource); !read) {
        parsed.error = std::move(read).error().text;
        parsed.warnings = std::exchange(warnings, {});
        Salvage salvaged = in_place_of(object, key);
        parsed.stand_in = std::move(salvaged.resource);
        parsed.counts = std::move(salvaged.counts);
        warnings.clear();  // they would be told twice
    } else {
        parsed.resource = std::make_shared<const Resource>(std::move(resource));
        parsed.warnings = std::exchange(warnings, {});
    }
    return parsed;
}

class FileReader {
  public:
    explicit FileReader(std::string_view file) : file_(file) {}

    Result<void> add(const Node& root, const std::string& text) {
        std::vector<std::string> warnings;
        const Field object(file_, root, warnings);
        if (auto map = object.expect_map(); !map) {
            return map;
        }
        const std::string kind = text_of(object, "kind");
        if (const auto* items = root.find("items"); items != nullptr && kind.ends_with("List")) {
            for (const auto& item : items->items) {
                if (auto added = add(item, to_yaml(item)); !added) {
                    return added;
                }
            }
            return {};
        }
        const std::string version = text_of(object, "apiVersion");
        const bool is_slice = version == kSliceVersion && kind == "EndpointSlice";
        if (!version.empty() && !version.starts_with(kGroup) && !is_slice) {
            ignore(
                object, fmt::format("{} of '{}' is not a Calico object, ignored", kind, version));
            return {};
        }
        const auto known = find_kind(kind);
        if (!known || row_of(*known).name != kind) {
            return unknown_kind(object, kind);
        }
        return add_object(object, row_of(*known), text, warnings);
    }

    [[nodiscard]] ParsedFile take() { return std::move(parsed_); }

  private:
    void ignore(const Field& object, std::string_view why) {
        parsed_.ignored.push_back(object.error(why).error().text);
    }

    Result<void> unknown_kind(const Field& object, const std::string& kind) {
        if (std::ranges::count(kKnownKinds, kind) != 0) {
            ignore(object, kind + " is not supported, ignored");
            return {};
        }
        return object.error(
            kind.empty() ? std::string("an object needs a kind")
                         : fmt::format("kind: unknown kind '{}'", kind));
    }

    Result<void> add_object(
        const Field& object,
        const KindRow& kind,
        const std::string& text,
        std::vector<std::string>& warnings) {
        const auto metadata = object.child("metadata");
        Key key{kind.kind, {}, metadata ? text_of(*metadata, "name") : std::string()};
        if (key.name.empty()) {
            return object.error("an object needs metadata.name");
        }
        if (kind.namespaced) {
            key.ns = text_of(*metadata, "namespace");
            if (key.ns.empty()) {
                key.ns = "default";
            }
        }
        ParsedObject parsed = read(object, key, warnings);
        parsed.text = std::make_shared<const std::string>(text);
        parsed_.objects.push_back(std::move(parsed));
        return {};
    }

    std::string_view file_;
    ParsedFile parsed_;
};

}  // namespace

Result<ParsedFile> parse_file(std::string_view file, std::string_view text) {
    auto documents = parse_documents(file, text);
    if (!documents) {
        return std::unexpected(std::move(documents).error());
    }
    FileReader reader(file);
    for (const auto& document : *documents) {
        if (auto added = reader.add(document.root, document.text); !added) {
            return std::unexpected(std::move(added).error());
        }
    }
    return reader.take();
}

Result<ParsedFile> parse_root(std::string_view file, const Node& root) {
    FileReader reader(file);
    if (auto added = reader.add(root, to_yaml(root)); !added) {
        return std::unexpected(std::move(added).error());
    }
    return reader.take();
}

std::vector<std::string> mistakes(std::string_view file, const Key& key, const Node& root) {
    std::vector<std::string> warnings;
    std::vector<std::string> all;
    Resource resource;
    resource.key = key;
    const Field object(file, root, warnings, &all);
    Result<void> first;
    (void)object.goes_on(parse_object(object, resource), first);
    (void)object.goes_on(parse_spec(object, resource), first);  // also where the head is wrong
    return all;
}

Result<ParsedObject> parse_stored(std::string_view file, const Key& key, std::string_view json) {
    const auto root = parse_json(file, json);
    if (!root) {
        return std::unexpected(root.error());
    }
    std::vector<std::string> warnings;
    const Field object(file, *root, warnings);
    if (auto map = object.expect_map(); !map) {
        return std::unexpected(std::move(map).error());
    }
    const auto metadata = object.child("metadata");
    const auto written = [&](std::string_view field) {
        return metadata ? text_of(*metadata, field) : std::string();
    };
    if (text_of(object, "kind") != row_of(key.kind).name || written("name") != key.name ||
        (row_of(key.kind).namespaced && written("namespace") != key.ns)) {
        return object.error("is not the object that its key says: " + to_string(key));
    }
    return read(object, key, warnings);
}

}  // namespace vr::policy
