// The first reader of documents: libyaml.
// SPDX-License-Identifier: Apache-2.0
#include <yaml.h>

#include "policy/document_tree.h"

namespace vr::policy {

namespace {

std::string_view view(const yaml_char_t* text, std::size_t length) {
    return {reinterpret_cast<const char*>(text), length};
}

/// Empty if there is none; the library knows no empty tag.
std::string_view view(const yaml_char_t* tag) {
    return tag == nullptr ? std::string_view() : reinterpret_cast<const char*>(tag);
}

/// The library's parser of one text, which must outlive it.
class ParserEvents {
  public:
    explicit ParserEvents(std::string_view text) : usable_(yaml_parser_initialize(&parser_) == 1) {
        if (usable_) {
            // Not to be guessed: another encoding would be another text.
            yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
            yaml_parser_set_input_string(
                &parser_, reinterpret_cast<const yaml_char_t*>(text.data()), text.size());
        }
    }

    ParserEvents(const ParserEvents&) = delete;
    ParserEvents& operator=(const ParserEvents&) = delete;
    ParserEvents(ParserEvents&&) = delete;
    ParserEvents& operator=(ParserEvents&&) = delete;

    ~ParserEvents() {
        if (usable_) {
            yaml_parser_delete(&parser_);
        }
    }

    /// Feeds `builder` until the end of the text or the first mistake.
    [[nodiscard]] std::optional<Mistake> feed(TreeBuilder& builder) {
        while (usable_) {
            yaml_event_t event;
            if (yaml_parser_parse(&parser_, &event) != 1) {
                return problem(builder);
            }
            auto wrong = tell(builder, event);
            const bool end = event.type == YAML_STREAM_END_EVENT;
            yaml_event_delete(&event);
            if (wrong || end) {
                return wrong;
            }
        }
        return Mistake{builder.line_in_file(0), "no memory"};
    }

  private:
    [[nodiscard]] Mistake problem(const TreeBuilder& builder) const {
        return {
            builder.line_in_file(parser_.problem_mark.line),
            parser_.problem == nullptr ? "no memory" : parser_.problem,
            parser_.error == YAML_SCANNER_ERROR || parser_.error == YAML_PARSER_ERROR};
    }

    [[nodiscard]] static TreeBuilder::Wrong tell(TreeBuilder& builder, const yaml_event_t& event) {
        const std::size_t line = event.start_mark.line;
        switch (event.type) {
            case YAML_DOCUMENT_START_EVENT:
                return builder.begin_document(line);
            case YAML_ALIAS_EVENT:
                return builder.alias(line);
            case YAML_SCALAR_EVENT:
                return tell_scalar(builder, event);
            case YAML_SEQUENCE_START_EVENT:
                return builder.open(Node::Type::List, line, view(event.data.sequence_start.tag));
            case YAML_MAPPING_START_EVENT:
                return builder.open(Node::Type::Map, line, view(event.data.mapping_start.tag));
            case YAML_SEQUENCE_END_EVENT:
            case YAML_MAPPING_END_EVENT:
                return builder.close();
            default:
                return std::nullopt;
        }
    }

    [[nodiscard]] static TreeBuilder::Wrong tell_scalar(
        TreeBuilder& builder, const yaml_event_t& event) {
        const auto& scalar = event.data.scalar;
        const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
        const std::string_view tag = view(scalar.tag);
        return builder.scalar(
            event.start_mark.line,
            view(scalar.value, scalar.length),
            plain ? TreeBuilder::Style::Plain : TreeBuilder::Style::Quoted,
            plain || tag != "!" ? tag : std::string_view());  // which says: a text
    }

    yaml_parser_t parser_{};
    bool usable_;
};

}  // namespace

std::optional<Mistake> read_by_libyaml(std::string_view text, TreeBuilder& builder) {
    return ParserEvents(text).feed(builder);
}

}  // namespace vr::policy
