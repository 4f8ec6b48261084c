// Documents on their way out: as YAML, as JSON.
// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cmath>
#include <cstdint>

#include <boost/json.hpp>
#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>

#include "policy/document.h"

namespace vr::policy {

namespace {

boost::json::value scalar_value(const Node& node) {
    const std::string& text = node.text;
    if (node.quoted) {
        return boost::json::string(text);
    }
    if (text == "true" || text == "false") {
        return text == "true";
    }
    const char* const end = text.data() + text.size();
    std::int64_t integer = 0;
    if (const auto [stop, error] = std::from_chars(text.data(), end, integer);
        error == std::errc{} && stop == end) {
        return integer;
    }
    double number = 0;
    if (const auto [stop, error] = std::from_chars(text.data(), end, number);
        error == std::errc{} && stop == end && std::isfinite(number)) {
        return number;
    }
    return boost::json::string(text);
}

boost::json::value json_value(const Node& node) {
    switch (node.type) {
        case Node::Type::Scalar:
            return scalar_value(node);
        case Node::Type::List: {
            boost::json::array array;
            for (const auto& item : node.items) {
                array.push_back(json_value(item));
            }
            return array;
        }
        case Node::Type::Map: {
            boost::json::object object;
            for (const auto& [key, value] : node.fields) {
                object[key] = json_value(value);
            }
            return object;
        }
        case Node::Type::Tagged:  // JSON has no tags; only what is invalid has one
        case Node::Type::Null:
            break;
    }
    return nullptr;
}

void emit(YAML::Emitter& out, const Node& node) {
    switch (node.type) {
        case Node::Type::Null:
            out << YAML::Null;
            break;
        case Node::Type::Scalar:
            if (node.quoted) {
                out << YAML::DoubleQuoted;
            }
            out << node.text;
            break;
        case Node::Type::List:
            out << YAML::BeginSeq;
            for (const auto& item : node.items) {
                emit(out, item);
            }
            out << YAML::EndSeq;
            break;
        case Node::Type::Map:
            out << YAML::BeginMap;
            for (const auto& [key, value] : node.fields) {
                out << YAML::Key << key << YAML::Value;
                emit(out, value);
            }
            out << YAML::EndMap;
            break;
        case Node::Type::Tagged:
            // The tag itself may hold what the library cannot write.
            out << YAML::LocalTag("tagged") << YAML::DoubleQuoted << node.text;
            break;
    }
}

}  // namespace

std::string to_yaml(const Node& node) {
    YAML::Emitter out;
    emit(out, node);
    return std::string(out.c_str()) + "\n";
}

std::string to_json(const Node& node) {
    return boost::json::serialize(json_value(node));
}

}  // namespace vr::policy
