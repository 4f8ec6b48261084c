// Builds a document's tree from the events of a YAML library, whichever reads it.
//
// What the tree could not say as the text does is refused here, the same for both libraries: aliases, keys
// given twice, more than 64 levels, a second document.  A tag is no part of a text in YAML, so what bears
// one is kept apart as Node::Type::Tagged: `selector: !has(a)` is not an empty selector.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/document.h"

namespace vr::policy {

/// What is wrong, and in which line of the file.
struct Mistake {
    int line;
    std::string what;
    bool syntax = false;  ///< the library cannot read it; another one may
};

/// Lines are counted from 0 in the library's text; each event tells what is wrong about it, if anything.
/// A tag is empty where none is written.
class TreeBuilder {
  public:
    using Wrong = std::optional<Mistake>;
    enum class Style { Plain, Quoted };

    explicit TreeBuilder(int first_line) : first_line_(first_line) {}

    [[nodiscard]] Node take() { return std::move(root_); }

    [[nodiscard]] int line_in_file(std::size_t line) const {
        return static_cast<int>(line) + first_line_;
    }

    [[nodiscard]] Wrong begin_document(std::size_t line);
    [[nodiscard]] Wrong alias(std::size_t line) const;
    [[nodiscard]] Wrong scalar(
        std::size_t line, std::string_view text, Style style, std::string_view tag);
    [[nodiscard]] Wrong open(Node::Type type, std::size_t line, std::string_view tag);
    [[nodiscard]] Wrong close();

  private:
    struct Level {
        Node node;
        std::string tag;
        std::string key = {};
        bool has_key = false;
    };

    [[nodiscard]] Node make(Node::Type type, std::size_t line) const;
    [[nodiscard]] Wrong place(Node&& node);
    [[nodiscard]] static Wrong take_key(Level& level, Node&& node);

    int first_line_;
    Node root_;
    std::vector<Level> levels_;
    bool begun_ = false;
};

/// Reads one document into `builder`: fast, but not all of YAML 1.2 (addresses like ::1 in [] or {}), and
/// with line ends of its own.
[[nodiscard]] std::optional<Mistake> read_by_libyaml(std::string_view text, TreeBuilder& builder);

/// The same in four times the time, for what libyaml cannot read.
[[nodiscard]] std::optional<Mistake> read_by_yaml_cpp(std::string_view text, TreeBuilder& builder);

}  // namespace vr::policy
