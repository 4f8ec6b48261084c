// Documents: YAML or JSON text as a plain tree in which every node knows its line.
//
// No other place knows the YAML libraries: libyaml reads, in a quarter of yaml-cpp's time, yaml-cpp reads
// what libyaml cannot, and writes.  A document is one part of a file between "---" lines.  Refused, because
// the tree would not be what the text says: aliases, keys given twice, more than 64 levels.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "vrouter/net/result.h"

namespace vr::policy {

/// Levels of maps and lists within each other; deeper documents are refused.
inline constexpr std::size_t kMaxDepth = 64;

struct Member;

struct Node {
    enum class Type {
        Null,
        Scalar,
        List,
        Map,
        Tagged,  ///< a tag (!name) and what bears it: nobody says what that means, so nobody reads it
    };

    // Not implicit: Member is complete only below.
    Node();
    Node(const Node&);
    Node& operator=(const Node&);
    Node(Node&&) noexcept;
    Node& operator=(Node&&) noexcept;
    ~Node();

    Type type;
    int line;                    ///< in the file, from 1
    bool quoted;                 ///< Scalar: written in quotes, so a text whatever it looks like
    std::string text;            ///< Scalar; of Tagged the tag
    std::vector<Node> items;     ///< List
    std::vector<Member> fields;  ///< Map, in the order written

    /// The value of `key`, or nullptr when it is absent or null.
    [[nodiscard]] const Node* find(std::string_view key) const;
};

/// One field of a map.
struct Member {
    std::string key;
    Node value;
};

struct Document {
    Node root;
    std::string text;  ///< as written, without its "---" line
};

/// Empty documents are left out.  The error reads "FILE:LINE: ...".
[[nodiscard]] Result<std::vector<Document>> parse_documents(
    std::string_view file, std::string_view text);

/// To the person who wrote it.
[[nodiscard]] std::string what_is_wrong_with_tag(std::string_view tag);

[[nodiscard]] std::string to_yaml(const Node& node);

/// One line of JSON; unquoted scalars that read as numbers or booleans become such.
[[nodiscard]] std::string to_json(const Node& node);

}  // namespace vr::policy
