// SPDX-License-Identifier: Apache-2.0
#include "policy/selector.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace vr::policy {

namespace {

constexpr std::string_view kNamespaceLabel = "projectcalico.org/namespace";

/// No label of an object has this name.
constexpr std::string_view kServiceLabel;

enum class Op {
    Service,
    All,
    Global,
    Has,
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    In,
    NotIn,
    Not,
    And,
    Or
};

}  // namespace

struct Selector::Node {
    Op op = Op::All;
    std::string label;
    std::vector<std::string> values;                    ///< In, NotIn: sorted, no doubles
    std::vector<std::shared_ptr<const Node>> operands;  ///< Not: one; And, Or: two or more
};

namespace {

using Term = Selector::Node;
using TermPtr = std::shared_ptr<const Term>;

TermPtr make(Op op, std::string label = {}, std::vector<std::string> values = {}) {
    std::ranges::sort(values);
    const auto doubles = std::ranges::unique(values);
    values.erase(doubles.begin(), doubles.end());
    return std::make_shared<const Term>(Term{op, std::move(label), std::move(values), {}});
}

TermPtr make(Op op, std::vector<TermPtr> operands) {
    return std::make_shared<const Term>(Term{op, {}, {}, std::move(operands)});
}

/// Twice not is nothing, however it is written: the canonical text must parse to itself.
TermPtr negation(const TermPtr& node) {
    return node->op == Op::Not ? node->operands.front() : make(Op::Not, std::vector<TermPtr>{node});
}

bool evaluate(const Term& node, const Labels& labels, Selector::Worth worth) {
    const auto holds = [&](const TermPtr& operand) { return evaluate(*operand, labels, worth); };
    switch (node.op) {
        case Op::All:
            return worth.all;
        case Op::Global:
            return worth.global;
        case Op::Not:
            return !holds(node.operands.front());
        case Op::And:
            return std::ranges::all_of(node.operands, holds);
        case Op::Or:
            return std::ranges::any_of(node.operands, holds);
        default:
            break;
    }
    const auto label = labels.find(node.label);
    if (label == labels.end()) {
        return node.op == Op::NotEqual || node.op == Op::NotIn;
    }
    const std::string& value = label->second;
    switch (node.op) {
        case Op::Has:
            return true;
        case Op::Equal:
            return value == node.values.front();
        case Op::NotEqual:
            return value != node.values.front();
        case Op::Contains:
            return value.find(node.values.front()) != std::string::npos;
        case Op::StartsWith:
            return value.starts_with(node.values.front());
        case Op::EndsWith:
            return value.ends_with(node.values.front());
        case Op::In:
            return std::ranges::binary_search(node.values, value);
        default:
            return !std::ranges::binary_search(node.values, value);
    }
}

std::string quote(const std::string& value) {
    const char mark = value.find('"') == std::string::npos ? '"' : '\'';
    return mark + value + mark;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
    return fmt::format("{}", fmt::join(parts, separator));
}

std::string canonical(const Term& node) {
    std::vector<std::string> parts;
    for (const auto& operand : node.operands) {
        parts.push_back(canonical(*operand));
    }
    for (const auto& value : node.values) {
        parts.push_back(quote(value));
    }
    const auto infix = [&](std::string_view word) {
        return fmt::format("{} {} {}", node.label, word, parts.front());
    };
    switch (node.op) {
        case Op::Service:
            return "service(" + node.values.front() + ")";
        case Op::All:
            return "all()";
        case Op::Global:
            return "global()";
        case Op::Has:
            return "has(" + node.label + ")";
        case Op::Equal:
            return infix("==");
        case Op::NotEqual:
            return infix("!=");
        case Op::Contains:
            return infix("contains");
        case Op::StartsWith:
            return infix("starts with");
        case Op::EndsWith:
            return infix("ends with");
        case Op::In:
            return node.label + " in {" + join(parts, ", ") + "}";
        case Op::NotIn:
            return node.label + " not in {" + join(parts, ", ") + "}";
        case Op::Not:
            return "!" + parts.front();
        case Op::And:
            return "(" + join(parts, " && ") + ")";
        case Op::Or:
            break;
    }
    return "(" + join(parts, " || ") + ")";
}

TermPtr with_prefix(const TermPtr& node, std::string_view prefix) {
    if (node->op == Op::All || node->op == Op::Global) {
        TermPtr has = make(Op::Has, std::string(kNamespaceLabel));
        return node->op == Op::All ? has : negation(has);
    }
    if (node->op == Op::Not) {
        return negation(with_prefix(node->operands.front(), prefix));
    }
    Term copy = *node;
    if (!copy.label.empty()) {
        copy.label.insert(0, prefix);
    }
    for (auto& operand : copy.operands) {
        operand = with_prefix(operand, prefix);
    }
    return std::make_shared<const Term>(std::move(copy));
}

/// Adds to `found` what every match of `node` fulfils.
void restrict(const Term& node, std::vector<Selector::Restriction>& found) {
    switch (node.op) {
        case Op::Service:
        case Op::Equal:
        case Op::In:
            found.push_back({node.label, node.values});
            return;
        case Op::Has:
        case Op::Contains:
        case Op::StartsWith:
        case Op::EndsWith:
            found.push_back({node.label, {}});
            return;
        case Op::And:
            for (const auto& operand : node.operands) {
                restrict(*operand, found);
            }
            return;
        default:
            return;
    }
}

bool is_label_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./-").find(c) != std::string_view::npos;
}

/// Characters of UTF-8, not bytes, are what users and Calico count; one takes four bytes at most.
std::size_t characters(std::string_view text) {
    const auto begins_one = [](unsigned char c) { return (c & 0xc0U) != 0x80U; };
    return static_cast<std::size_t>(std::ranges::count_if(text, begins_one));
}

bool is_too_long(std::string_view text) {
    return text.size() > 4 * Selector::kMaxLength || characters(text) > Selector::kMaxLength;
}

/// Recursive descent over the text, whose length bounds the depth; the first error is remembered and
/// ends everything.
class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    Result<TermPtr> parse() {
        if (is_too_long(text_)) {
            return fail(fmt::format(
                "column {}: longer than {} characters",
                Selector::kMaxLength + 1,
                Selector::kMaxLength));
        }
        skip_blanks();
        if (at_end()) {
            return make(Op::All);
        }
        TermPtr root = parse_or();
        skip_blanks();
        if (error_.empty() && !at_end()) {
            refuse("expected && or || or the end");
        }
        if (!error_.empty()) {
            return fail(error_);
        }
        return root;
    }

  private:
    [[nodiscard]] bool at_end() const { return position_ >= text_.size(); }

    void skip_blanks() {
        while (!at_end() && (text_[position_] == ' ' || text_[position_] == '\t')) {
            ++position_;
        }
    }

    TermPtr refuse(std::string_view what) {
        if (error_.empty()) {
            error_ = fmt::format("column {}: {}", characters(text_.substr(0, position_)) + 1, what);
        }
        return nullptr;
    }

    /// Takes `word` after blanks, if it is there.
    bool accept(std::string_view word) {
        skip_blanks();
        if (!text_.substr(position_).starts_with(word)) {
            return false;
        }
        position_ += word.size();
        return true;
    }

    /// Takes two words with any number of blanks, or none, between them.
    bool accept(std::string_view first, std::string_view second) {
        const std::size_t start = position_;
        if (accept(first) && accept(second)) {
            return true;
        }
        position_ = start;
        return false;
    }

    TermPtr parse_chain(Op op, std::string_view sign, TermPtr (Parser::*operand)()) {
        std::vector<TermPtr> operands;
        do {
            TermPtr next = (this->*operand)();
            if (!next) {
                return nullptr;
            }
            operands.push_back(std::move(next));
        } while (accept(sign));
        return operands.size() == 1 ? operands.front() : make(op, std::move(operands));
    }

    TermPtr parse_or() { return parse_chain(Op::Or, "||", &Parser::parse_and); }

    TermPtr parse_and() { return parse_chain(Op::And, "&&", &Parser::parse_operation); }

    TermPtr parse_operation() {
        bool negate = false;
        while (accept("!")) {
            negate = !negate;
        }
        TermPtr node = accept("(") ? parse_bracket() : parse_condition();
        return node && negate ? negation(node) : node;
    }

    TermPtr parse_bracket() {
        TermPtr node = parse_or();
        return !node || accept(")") ? node : refuse("expected ')'");
    }

    TermPtr parse_condition() {
        if (accept("all(")) {
            return accept(")") ? make(Op::All) : refuse("expected ')'");
        }
        if (accept("global(")) {
            return accept(")") ? make(Op::Global) : refuse("expected ')'");
        }
        if (accept("has(")) {
            auto label = parse_label();
            if (!label) {
                return nullptr;
            }
            return accept(")") ? make(Op::Has, std::move(*label)) : refuse("expected ')'");
        }
        auto label = parse_label();
        return label ? parse_operator(std::move(*label)) : nullptr;
    }

    std::optional<std::string> parse_label() {
        skip_blanks();
        const std::size_t start = position_;
        while (!at_end() && is_label_character(text_[position_])) {
            ++position_;
        }
        const std::size_t length = position_ - start;
        if (length == 0 || length > Selector::kMaxLabelLength) {
            position_ = start;
            refuse(
                length == 0 ? "expected a label, has(), all(), global(), '!' or '('"
                            : "label longer than 512 characters");
            return std::nullopt;
        }
        return std::string(text_.substr(start, length));
    }

    TermPtr parse_operator(std::string label) {
        if (accept("in")) {
            return parse_members(Op::In, std::move(label));
        }
        if (accept("not", "in")) {
            return parse_members(Op::NotIn, std::move(label));
        }
        std::optional<Op> op;
        if (accept("==")) {
            op = Op::Equal;
        } else if (accept("!=")) {
            op = Op::NotEqual;
        } else if (accept("contains")) {
            op = Op::Contains;
        } else if (accept("starts", "with")) {
            op = Op::StartsWith;
        } else if (accept("ends", "with")) {
            op = Op::EndsWith;
        }
        if (!op) {
            return refuse(
                "expected ==, !=, in, not in, contains, starts with or ends with after a label");
        }
        auto value = parse_literal();
        return value ? make(*op, std::move(label), {std::move(*value)}) : nullptr;
    }

    std::optional<std::string> parse_literal() {
        skip_blanks();
        if (at_end() || (text_[position_] != '\'' && text_[position_] != '"')) {
            refuse("expected a text in quotes");
            return std::nullopt;
        }
        const std::size_t end = text_.find(text_[position_], position_ + 1);
        if (end == std::string_view::npos) {
            refuse("quote is never closed");
            return std::nullopt;
        }
        std::string value(text_.substr(position_ + 1, end - position_ - 1));
        position_ = end + 1;
        return value;
    }

    /// "{" [literal {"," literal} [","]] "}"
    TermPtr parse_members(Op op, std::string label) {
        if (!accept("{")) {
            return refuse("expected '{'");
        }
        std::vector<std::string> members;
        while (!accept("}")) {
            auto member = parse_literal();
            if (!member) {
                return nullptr;
            }
            members.push_back(std::move(*member));
            if (!accept(",")) {
                if (!accept("}")) {
                    return refuse("expected ',' or '}'");
                }
                break;
            }
        }
        return make(op, std::move(label), std::move(members));
    }

    std::string_view text_;
    std::size_t position_ = 0;
    std::string error_;
};

}  // namespace

Selector::Selector() : Selector(make(Op::All)) {}

Selector::Selector(std::shared_ptr<const Term> root)
    : root_(std::move(root)), text_(std::make_shared<const std::string>(canonical(*root_))) {}

Result<Selector> Selector::parse(std::string_view text) {
    auto root = Parser(text).parse();
    if (!root) {
        return std::unexpected(std::move(root).error());
    }
    return Selector(*std::move(root));
}

Selector Selector::service(const std::string& name) {
    return Selector(make(Op::Service, std::string(kServiceLabel), {name}));
}

Labels Selector::service_labels(const std::string& name) {
    return {{std::string(kServiceLabel), name}};
}

Selector Selector::has(std::string label) {
    return Selector(make(Op::Has, std::move(label)));
}

Selector Selector::equals(std::string label, std::string value) {
    return Selector(make(Op::Equal, std::move(label), {std::move(value)}));
}

Selector Selector::in(std::string label, std::vector<std::string> values) {
    return Selector(make(Op::In, std::move(label), std::move(values)));
}

Selector Selector::both(const Selector& left, const Selector& right) {
    return Selector(make(Op::And, std::vector<TermPtr>{left.root_, right.root_}));
}

Selector Selector::negated() const {
    return Selector(negation(root_));
}

Selector Selector::prefixed(std::string_view prefix) const {
    return Selector(with_prefix(root_, prefix));
}

bool Selector::matches(const Labels& labels, Worth worth) const {
    // Members of services are a world of their own: its label sorts first.
    const bool of_service = !labels.empty() && labels.begin()->first == kServiceLabel;
    if (of_service || root_->op == Op::Service) {
        return of_service && root_->op == Op::Service &&
               labels.begin()->second == root_->values.front();
    }
    return evaluate(*root_, labels, worth);
}

std::vector<Selector::Restriction> Selector::restrictions() const {
    std::vector<Restriction> found;
    restrict(*root_, found);
    return found;
}

}  // namespace vr::policy
