// The second reader of documents: yaml-cpp, which takes addresses that begin with "::" in [] and {}, and
// characters that libyaml refuses or takes for line ends.
// SPDX-License-Identifier: Apache-2.0
#include <exception>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "policy/document_tree.h"

namespace vr::policy {

namespace {

class Handler : public YAML::EventHandler {
  public:
    Handler(std::string_view text, TreeBuilder& builder) : text_(text), builder_(&builder) {}

    /// What stopped the library, unless it stopped by itself.
    [[nodiscard]] const TreeBuilder::Wrong& wrong() const { return wrong_; }

    void OnDocumentStart(const YAML::Mark& mark) override {
        check(builder_->begin_document(line(mark)), mark);
    }

    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        check_anchor(mark, anchor);
        check(builder_->scalar(line(mark), {}, TreeBuilder::Style::Plain, {}), mark);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
        check(builder_->alias(line(mark)), mark);
    }

    void OnScalar(
        const YAML::Mark& mark,
        const std::string& tag,
        YAML::anchor_t anchor,
        const std::string& value) override {
        // The library's tag of what is quoted is "!"; where it is written, mark.pos is its place.
        const auto at = static_cast<std::size_t>(mark.pos);
        const bool quoted = tag == "!" && at < text_.size() && text_[at] != '!';
        if (quoted || !tag.starts_with('!')) {
            check_anchor(mark, anchor);
        }
        check(
            builder_->scalar(
                line(mark),
                value,
                quoted ? TreeBuilder::Style::Quoted : TreeBuilder::Style::Plain,
                quoted ? std::string_view() : written(tag)),
            mark);
    }

    void OnSequenceStart(
        const YAML::Mark& mark,
        const std::string& tag,
        YAML::anchor_t anchor,
        YAML::EmitterStyle::value /*style*/) override {
        open(Node::Type::List, mark, tag, anchor);
    }

    void OnSequenceEnd() override { check(builder_->close(), YAML::Mark()); }

    void OnMapStart(
        const YAML::Mark& mark,
        const std::string& tag,
        YAML::anchor_t anchor,
        YAML::EmitterStyle::value /*style*/) override {
        open(Node::Type::Map, mark, tag, anchor);
    }

    void OnMapEnd() override { check(builder_->close(), YAML::Mark()); }

  private:
    [[nodiscard]] static std::size_t line(const YAML::Mark& mark) {
        return mark.is_null() ? 0 : static_cast<std::size_t>(mark.line);
    }

    /// "?" is the library's word for no tag.
    [[nodiscard]] static std::string_view written(const std::string& tag) {
        return tag == "?" ? std::string_view() : tag;
    }

    void open(
        Node::Type type, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        check_anchor(mark, anchor);
        check(builder_->open(type, line(mark), written(tag)), mark);
    }

    /// The library takes nearly anything for a name: `&& has(a)` would be `has(a)`.
    void check_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
        if (anchor != YAML::NullAnchor) {
            check(
                Mistake{builder_->line_in_file(line(mark)), "anchors (&name) are not supported"},
                mark);
        }
    }

    void check(TreeBuilder::Wrong wrong, const YAML::Mark& mark) {
        if (wrong) {
            wrong_ = std::move(wrong);
            throw YAML::ParserException(mark, wrong_->what);
        }
    }

    std::string_view text_;
    TreeBuilder* builder_;
    TreeBuilder::Wrong wrong_;
};

}  // namespace

std::optional<Mistake> read_by_yaml_cpp(std::string_view text, TreeBuilder& builder) {
    Handler handler(text, builder);
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(handler)) {
        }
        return std::nullopt;
    } catch (const YAML::Exception& error) {
        if (handler.wrong()) {
            return handler.wrong();
        }
        const int line = error.mark.is_null() ? 0 : error.mark.line;
        return Mistake{builder.line_in_file(static_cast<std::size_t>(line)), error.msg, true};
    } catch (const std::exception& error) {
        return Mistake{builder.line_in_file(0), error.what(), true};
    }
}

}  // namespace vr::policy
