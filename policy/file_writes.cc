// SPDX-License-Identifier: Apache-2.0
#include "policy/file_writes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "policy/client_form.h"
#include "policy/resource.h"

namespace vr::policy {

namespace {

std::string file_name(const Key& key) {
    std::string name(row_of(key.kind).name);
    std::ranges::transform(name, name.begin(), tolower);
    name += key.ns.empty() ? "." : "." + key.ns + ".";
    return name + key.name + ".yaml";
}

}  // namespace

Result<std::string> file_for(const Catalog& catalog, const Key& key) {
    if (const auto place = catalog.find(key)) {
        if (place->objects_in_file > 1) {
            return fail(fmt::format(
                "{} is defined in {}:{}, edit it there", to_string(key), place->file, place->line));
        }
        return place->file;
    }
    std::string file = file_name(key);
    if (!catalog.list_file(file).empty()) {
        return fail(fmt::format("{} exists and holds other objects", file));
    }
    return file;
}

Result<std::vector<FileWrite>> plan_writes(
    const Catalog& catalog, std::string_view file, std::string_view yaml) {
    auto parsed = parse_file(file, yaml);
    if (!parsed) {
        return std::unexpected(std::move(parsed).error());
    }
    if (!parsed->ignored.empty()) {
        return fail(parsed->ignored.front());
    }
    std::vector<FileWrite> writes;
    for (const auto& object : parsed->objects) {
        if (!object.resource) {
            return fail(object.error);
        }
        auto place = file_for(catalog, object.key);
        if (!place) {
            return std::unexpected(std::move(place).error());
        }
        if (std::ranges::count(writes, object.key, &FileWrite::key) > 0) {
            return fail(to_string(object.key) + " is given twice");
        }
        writes.push_back({object.key, *std::move(place), client_form(object)});
    }
    return writes;
}

}  // namespace vr::policy
