// get, apply, delete: resources of the datastore.
// SPDX-License-Identifier: Apache-2.0
#include "policy/resource.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "ctl/handlers.h"
#include "policy/datastore.h"

namespace vr::ctl {

namespace {

using policy::ObjectState;
using policy::ObjectStatus;

/// Where a namespaced object is looked for when no namespace is given, as calicoctl does.
constexpr std::string_view kDefaultNamespace = "default";

constexpr std::string_view kNoObject = "there is no object in it";

pb::Resource::State state_of(ObjectState state) {
    switch (state) {
        case ObjectState::Valid:
            return pb::Resource::STATE_VALID;
        case ObjectState::Kept:
            return pb::Resource::STATE_KEPT;
        case ObjectState::StandIn:
            return pb::Resource::STATE_STAND_IN;
        case ObjectState::Partial:
            return pb::Resource::STATE_PARTIAL;
        case ObjectState::Missing:
            return pb::Resource::STATE_MISSING;
        case ObjectState::Shadowed:
            return pb::Resource::STATE_SHADOWED;
    }
    return pb::Resource::STATE_UNSPECIFIED;
}

void fill(const ObjectStatus& object, pb::Resource& row) {
    row.set_kind(std::string(policy::row_of(object.key.kind).name));
    row.set_namespace_(object.key.ns);
    row.set_name(object.key.name);
    row.set_state(state_of(object.state));
    row.set_problem(object.reason);
    for (const std::string& warning : object.warnings) {
        row.add_warnings(warning);
    }
    row.set_origin(object.file + ":" + std::to_string(object.line));
    row.set_document(object.yaml);
}

/// A file or object outside the model: shown where everything is, so that it is not overlooked.
void fill(const std::string& problem, pb::Resource& row) {
    row.set_state(pb::Resource::STATE_MISSING);
    row.set_problem(problem);
}

Failure unknown_kind(const std::string& kind) {
    return {.code = pb::Error::CODE_INVALID, .text = "unknown kind of resource '" + kind + "'"};
}

/// The namespace in which an object of `kind` with that name is meant.
std::string namespace_of(policy::Kind kind, const std::string& given) {
    if (!policy::row_of(kind).namespaced) {
        return {};
    }
    return given.empty() ? std::string(kDefaultNamespace) : given;
}

/// An object as people name it: NAME with a namespace beside it, or NAMESPACE/NAME as apply prints it.
struct NamedObject {
    std::string ns;
    std::string name;
};

/// `kind`: nothing when objects of all kinds are asked for.
template <typename Request>
Result<NamedObject> wanted(const Request& request, std::optional<policy::Kind> kind) {
    NamedObject wanted{request.namespace_(), request.name()};
    if (const auto slash = wanted.name.find('/'); slash != std::string::npos) {
        if (kind && !policy::row_of(*kind).namespaced) {
            return fail(
                "'" + wanted.name + "' names a namespace, and a " +
                std::string(policy::row_of(*kind).name) + " is in none");
        }
        const std::string ns = wanted.name.substr(0, slash);
        if (!wanted.ns.empty() && wanted.ns != ns) {
            return fail(
                "'" + wanted.name + "' is not in namespace '" + wanted.ns + "', which -n names");
        }
        wanted = {ns, wanted.name.substr(slash + 1)};
    }
    return wanted;
}

/// Policies of the default tier are called with and without their tier in front, DATASTORE 3.2.
std::string other_name(const std::string& name) {
    constexpr std::string_view kTier = "default.";
    return name.starts_with(kTier) ? name.substr(kTier.size()) : std::string(kTier) + name;
}

bool is_policy(policy::Kind kind) {
    using policy::Kind;
    return kind == Kind::NetworkPolicy || kind == Kind::GlobalNetworkPolicy ||
           kind == Kind::StagedNetworkPolicy || kind == Kind::StagedGlobalNetworkPolicy;
}

/// Problems of an object that is valid in itself stand where the reason of an invalid one would.
void fill(ObjectStatus object, const ObjectProblems& problems, pb::Resource& row) {
    if (problems && object.state != ObjectState::Shadowed) {
        for (const std::string& problem : problems(object.key)) {
            object.reason += (object.reason.empty() ? "" : "; ") + problem;
        }
    }
    fill(object, row);
}

/// All objects of a kind or, with what is no object, of every kind; of a namespace, if one is given.  What
/// comes or goes meanwhile is listed or not.
class Objects {
  public:
    Objects(
        const policy::Datastore& store,
        ObjectProblems problems,
        std::optional<policy::Kind> kind,
        std::string ns)
        : store_(&store),
          problems_(std::move(problems)),
          kind_(kind),
          ns_(std::move(ns)),
          from_{kind.value_or(policy::Kind{}), {}, {}} {}

    bool operator()(pb::Response& frame) {
        auto& list = *frame.mutable_resources();
        if (objects_follow_) {
            objects_follow_ = add_objects(list);
            if (!objects_follow_ && !kind_) {
                others_ = store_->problems();
            }
            return objects_follow_ || !others_.empty();
        }
        for (std::size_t n = 0; n < kRowsPerFrame && next_ < others_.size(); ++n, ++next_) {
            fill(others_[next_], *list.add_rows());
        }
        return next_ < others_.size();
    }

  private:
    bool add_objects(pb::ResourceList& list) {
        auto objects = store_->list(from_, kRowsPerFrame);
        if (objects.empty()) {
            return false;
        }
        from_ = policy::behind(objects.back().key);
        for (ObjectStatus& object : objects) {
            if (kind_ && object.key.kind != *kind_) {
                return false;
            }
            if (ns_.empty() || ns_ == object.key.ns) {
                fill(std::move(object), problems_, *list.add_rows());
            }
        }
        return true;
    }

    const policy::Datastore* store_;
    ObjectProblems problems_;
    std::optional<policy::Kind> kind_;
    std::string ns_;
    policy::Key from_;
    bool objects_follow_ = true;
    std::vector<std::string> others_;
    std::size_t next_ = 0;
};

/// The definitions of one object.
std::vector<ObjectStatus> find(const policy::Datastore& store, const policy::Key& key) {
    auto found = store.list(key, 1);
    if (!found.empty() && found.front().key != key) {
        found.clear();
    }
    return found;
}

/// Those of that name, of a kind or of any; else the policies that are called so with or without their tier.
std::vector<ObjectStatus> find(
    const policy::Datastore& store, std::optional<policy::Kind> kind, const NamedObject& named) {
    std::vector<ObjectStatus> found;
    std::vector<ObjectStatus> others;
    for (const policy::KindRow& row : policy::kinds()) {
        if (kind && *kind != row.kind) {
            continue;
        }
        policy::Key key{row.kind, namespace_of(row.kind, named.ns), named.name};
        std::ranges::move(find(store, key), std::back_inserter(found));
        if (is_policy(row.kind)) {
            key.name = other_name(key.name);
            std::ranges::move(find(store, key), std::back_inserter(others));
        }
    }
    return found.empty() ? others : found;
}

Answer get(
    const policy::Datastore& store,
    const ObjectProblems& problems,
    const pb::GetResources& request) {
    std::optional<policy::Kind> kind;
    if (!request.kind().empty()) {
        kind = policy::find_kind(request.kind());
        if (!kind) {
            return unknown_kind(request.kind());
        }
    }
    const auto named = wanted(request, kind);
    if (!named) {
        return Failure{.code = pb::Error::CODE_INVALID, .text = named.error().text};
    }
    if (named->name.empty()) {
        return Objects{store, problems, kind, named->ns};
    }
    auto found = find(store, kind, *named);
    if (found.empty()) {
        return Failure{
            .code = pb::Error::CODE_NOT_FOUND,
            .text = "no " + request.kind() + " '" + named->name + "'" +
                    (kind && policy::row_of(*kind).namespaced
                         ? " in namespace '" + namespace_of(*kind, named->ns) + "'"
                         : "") +
                    ": 'get' without a name lists all"};
    }
    return listing<&pb::Response::mutable_resources>(
        std::move(found),
        [problems](const ObjectStatus& object, pb::Resource& row) { fill(object, problems, row); });
}

void add_change(const policy::Key& key, pb::Change::Outcome outcome, pb::ChangeList& changes) {
    auto& change = *changes.add_rows();
    change.set_kind(std::string(policy::row_of(key.kind).name));
    change.set_namespace_(key.ns);
    change.set_name(key.name);
    change.set_outcome(outcome);
}

void add_refused(const policy::Key& key, const std::string& problem, pb::ChangeList& changes) {
    add_change(key, pb::Change::OUTCOME_REFUSED, changes);
    changes.mutable_rows()->rbegin()->set_problem(problem);
}

/// All of a file, which is not understood or not wanted.
void add_refused(const std::string& file, const std::string& problem, pb::ChangeList& changes) {
    auto& change = *changes.add_rows();
    change.set_name(file);
    change.set_outcome(pb::Change::OUTCOME_REFUSED);
    change.set_problem(problem);
}

/// Changes that are made one after the other, some by stores that answer later.
class Changes : public std::enable_shared_from_this<Changes> {
  public:
    using Reply = std::move_only_function<void(pb::Response)>;
    using Job = std::variant<pb::Documents, policy::Key>;

    Changes(policy::Datastore& store, WhenInForce when_in_force)
        : store_(store), when_in_force_(std::move(when_in_force)) {}

    void put(pb::Documents file) { todo_.emplace_back(std::move(file)); }

    void remove(policy::Key key) { todo_.emplace_back(std::move(key)); }

    [[nodiscard]] pb::ChangeList& outcome() { return *response_.mutable_changes(); }

    void make(Reply reply) {
        reply_ = std::move(reply);
        go_on();
    }

  private:
    /// Loops over stores that answer at once, which call this again from within.
    void go_on() {
        again_ = true;
        if (busy_) {
            return;
        }
        busy_ = true;
        while (std::exchange(again_, false)) {
            if (todo_.empty()) {
                answer();
                break;
            }
            const Job job = std::move(todo_.front());
            todo_.pop_front();
            std::visit([this](const auto& what) { start(what); }, job);
        }
        busy_ = false;
    }

    /// Who is answered finds the changes in force.
    void answer() {
        const auto reply = [self = shared_from_this()] {
            self->reply_(std::move(self->response_));
        };
        when_in_force_ ? when_in_force_(reply) : reply();
    }

    void start(const pb::Documents& file) {
        const auto done = [self = shared_from_this(), name = file.name()](const auto& keys) {
            if (!keys) {
                add_refused(name, keys.error().text, self->outcome());
            } else if (keys->empty()) {
                add_refused(name, std::string(kNoObject), self->outcome());
            } else {
                for (const policy::Key& key : *keys) {
                    add_change(key, pb::Change::OUTCOME_APPLIED, self->outcome());
                }
            }
            self->go_on();
        };
        store_.put(file.name(), file.text(), done);
    }

    void start(const policy::Key& key) {
        store_.remove(key, [self = shared_from_this(), key](const Result<void>& removed) {
            if (removed) {
                add_change(key, pb::Change::OUTCOME_DELETED, self->outcome());
            } else {
                add_refused(key, removed.error().text, self->outcome());
            }
            self->go_on();
        });
    }

    policy::Datastore& store_;
    WhenInForce when_in_force_;
    std::deque<Job> todo_;
    pb::Response response_;
    Reply reply_;
    bool busy_ = false;
    bool again_ = false;
};

Later make(const std::shared_ptr<Changes>& changes) {
    return [changes](Changes::Reply reply) { changes->make(std::move(reply)); };
}

Answer put(const std::shared_ptr<Changes>& changes, const pb::ApplyResources& request) {
    for (const pb::Documents& file : request.files()) {
        changes->put(file);
    }
    return make(changes);
}

/// Why an object that is called by another name than its own stays: that may be another object.  Empty: it
/// is called by its own, or there is none.
std::string other_meant(const policy::Datastore& store, const policy::Key& key) {
    if (!is_policy(key.kind)) {
        return {};
    }
    policy::Key other = key;
    other.name = other_name(key.name);
    return !find(store, key).empty() || find(store, other).empty()
               ? std::string()
               : "it does not exist, '" + other.name + "' does";
}

Answer remove(
    const policy::Datastore& store,
    const std::shared_ptr<Changes>& changes,
    const pb::DeleteResources& request) {
    for (const pb::Documents& file : request.files()) {
        const auto parsed = policy::parse_file(file.name(), file.text());
        if (!parsed) {
            add_refused(file.name(), parsed.error().text, changes->outcome());
            continue;
        }
        if (parsed->objects.empty()) {
            add_refused(file.name(), std::string(kNoObject), changes->outcome());
        }
        for (const policy::ParsedObject& object : parsed->objects) {
            changes->remove(object.key);
        }
    }
    if (request.files().empty()) {
        const auto kind = policy::find_kind(request.kind());
        if (!kind) {
            return unknown_kind(request.kind());
        }
        const auto named = wanted(request, *kind);
        if (!named) {
            return Failure{.code = pb::Error::CODE_INVALID, .text = named.error().text};
        }
        const policy::Key key{*kind, namespace_of(*kind, named->ns), named->name};
        if (const std::string problem = other_meant(store, key); !problem.empty()) {
            add_refused(key, problem, changes->outcome());
        } else {
            changes->remove(key);
        }
    }
    return make(changes);
}

}  // namespace

void serve_resources(
    Dispatch& dispatch,
    policy::Datastore& store,
    ObjectProblems problems,
    WhenInForce when_in_force) {
    const auto changes = [&store, when_in_force = std::move(when_in_force)] {
        return std::make_shared<Changes>(store, when_in_force);
    };
    dispatch.on(
        pb::Request::kGetResources,
        [&store, problems = std::move(problems)](const pb::Request& request) {
            return get(store, problems, request.get_resources());
        });
    dispatch.on(pb::Request::kApplyResources, [changes](const pb::Request& request) {
        return put(changes(), request.apply_resources());
    });
    dispatch.on(pb::Request::kDeleteResources, [&store, changes](const pb::Request& request) {
        return remove(store, changes(), request.delete_resources());
    });
}

}  // namespace vr::ctl
