// SPDX-License-Identifier: Apache-2.0
#include "ctl/yaml_json.h"

#include <charconv>
#include <cstdint>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <yaml-cpp/yaml.h>

namespace vr::ctl {

namespace json = boost::json;

namespace {

template <typename Number>
bool read_number(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size();
}

json::value scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") {  // how yaml-cpp marks a quoted scalar
        return json::value(text);
    }
    if (text == "true" || text == "True" || text == "TRUE") {
        return true;
    }
    if (text == "false" || text == "False" || text == "FALSE") {
        return false;
    }
    std::int64_t integer = 0;
    if (read_number(text, integer)) {
        return integer;
    }
    double real = 0;
    const bool decimal = text.find_first_not_of("+-.0123456789eE") == std::string::npos;
    if (decimal && read_number(text, real)) {
        return real;
    }
    return json::value(text);
}

json::value convert(const YAML::Node& node) {
    switch (node.Type()) {
        case YAML::NodeType::Scalar:
            return scalar(node);
        case YAML::NodeType::Sequence: {
            json::array values;
            for (const auto& element : node) {
                values.push_back(convert(element));
            }
            return values;
        }
        case YAML::NodeType::Map: {
            json::object object;
            for (const auto& member : node) {
                object.insert_or_assign(member.first.Scalar(), convert(member.second));
            }
            return object;
        }
        case YAML::NodeType::Undefined:
        case YAML::NodeType::Null:
            break;
    }
    return nullptr;
}

}  // namespace

json::value yaml_to_json(std::string_view text) {
    try {
        return convert(YAML::Load(std::string(text)));
    } catch (const YAML::Exception&) {
        return json::value(text);
    }
}

}  // namespace vr::ctl
