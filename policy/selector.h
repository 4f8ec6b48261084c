// Selector: Calico's label expressions, POLICY 2.1.
//
//   role == 'db' && !(env in {"dev", "test"} || has(legacy))
//
// An immutable value that shares its syntax tree: copying is cheap.  Two selectors are equal when
// their canonical texts are.  Label names may be prefixed and expressions combined without going
// through text again (POLICY 2.3).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vrouter/net/result.h"

namespace vr::policy {

/// Label name to value.
using Labels = std::map<std::string, std::string, std::less<>>;

class Selector {
  public:
    static constexpr std::size_t kMaxLength = 1024;      ///< characters of the text, POLICY 2.4
    static constexpr std::size_t kMaxLabelLength = 512;  ///< characters of a label name

    /// all()
    Selector();

    /// Blank text is all().  The error says "column N: ..." with N counted from 1.
    [[nodiscard]] static Result<Selector> parse(std::string_view text);

    [[nodiscard]] static Selector has(std::string label);
    [[nodiscard]] static Selector equals(std::string label, std::string value);
    [[nodiscard]] static Selector in(std::string label, std::vector<std::string> values);

    /// The members of one service, "namespace/name": nothing else has labels that it matches, and no
    /// other selector matches them.  Not part of the language, and not to be combined.
    [[nodiscard]] static Selector service(const std::string& name);
    /// The labels of such members.
    [[nodiscard]] static Labels service_labels(const std::string& name);

    /// left && right
    [[nodiscard]] static Selector both(const Selector& left, const Selector& right);
    /// !(this)
    [[nodiscard]] Selector negated() const;
    /// As a namespaceSelector ("pcns.") or serviceAccountSelector ("pcsa.") reads: every label gets
    /// `prefix`, all() and global() become having and not having a namespace.  POLICY 2.3.
    [[nodiscard]] Selector prefixed(std::string_view prefix) const;

    /// What all() and global() are worth; an ordinary selector has both true.
    struct Worth {
        bool all = true;
        bool global = true;
    };

    [[nodiscard]] bool matches(const Labels& labels) const { return matches(labels, Worth{}); }

    [[nodiscard]] bool matches(const Labels& labels, Worth worth) const;

    /// A condition that every match fulfils: `label` is present, with one of `values` if any are
    /// given.  Lets an index find candidates without evaluating.
    struct Restriction {
        std::string label;
        std::vector<std::string> values;
    };

    /// All that can be told from the outermost &&; empty: any labels may match.
    [[nodiscard]] std::vector<Restriction> restrictions() const;

    /// The canonical text, POLICY 2.1.
    [[nodiscard]] const std::string& text() const noexcept { return *text_; }

    friend bool operator==(const Selector& a, const Selector& b) { return *a.text_ == *b.text_; }

    struct Node;

  private:
    explicit Selector(std::shared_ptr<const Node> root);

    std::shared_ptr<const Node> root_;
    std::shared_ptr<const std::string> text_;
};

}  // namespace vr::policy
