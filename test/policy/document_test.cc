// How YAML is read as a tree: what it means, what is refused, in which line.
// SPDX-License-Identifier: Apache-2.0
#include "policy/document.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vr::policy::document_test {
namespace {

struct Meaning {
    std::string name;
    std::string text;
    std::string json;  ///< one document a line
};

class ReadableDocuments : public testing::TestWithParam<Meaning> {};

TEST_P(ReadableDocuments, MeanWhatYamlSays) {
    const auto documents = parse_documents("f.yaml", GetParam().text);
    ASSERT_TRUE(documents) << documents.error().text;
    std::string json;
    for (const auto& document : *documents) {
        json += (json.empty() ? "" : "\n") + to_json(document.root);
    }
    EXPECT_EQ(json, GetParam().json);
}

INSTANTIATE_TEST_SUITE_P(
    Document,
    ReadableDocuments,
    testing::ValuesIn(std::vector<Meaning>{
        {"address_in_brackets", "nets: [0.0.0.0/0, ::/0]\n", R"({"nets":["0.0.0.0/0","::/0"]})"},
        {"address_in_braces", "{nets: ::/0}\n", R"({"nets":"::/0"})"},
        {"address_alone", "[::1]\n", R"(["::1"])"},
        {"address_behind_quotes", "[\"a: 1\", '', ::1]\n", R"(["a: 1","","::1"])"},
        {"byte_order_mark", "\ufeffa: 1\nb: 2\n---\nc: 3\n", "{\"a\":1,\"b\":2}\n{\"c\":3}"},
        {"byte_order_mark_before_a_line", "\ufeff---\na: 1\nb: 2\n", R"({"a":1,"b":2})"},
        {"directive", "%YAML 1.2\n---\na: 1\n", R"({"a":1})"},
        {"directive_behind_a_comment", "# b\n\n%YAML 1.1\n---\na: 1\n", R"({"a":1})"},
        {"directive_of_a_later_document",
         "a: 1\n...\n%YAML 1.2\n---\nb: 2\n",
         "{\"a\":1}\n{\"b\":2}"},
        {"null", "a: null\nb: Null\nc: NULL\nd: ~\n", R"({"a":null,"b":null,"c":null,"d":null})"},
        {"null_in_quotes", "a: 'NULL'\nb: nULL\n", R"({"a":"NULL","b":"nULL"})"},
        {"null_beside_an_address", "[::1, NULL, , null]\n", R"(["::1",null,null,null])"},
        {"line_separator_in_a_comment", "# b\u2028a: 1\nc: 2\n", R"({"c":2})"},
        {"paragraph_separator_in_a_comment", "# b\u2029a: 1\nc: 2\n", R"({"c":2})"},
        {"next_line_in_a_comment", "# b\u0085a: 1\nc: 2\n", R"({"c":2})"},
        {"line_separator_in_quotes", "a: 'b\u2028c'\n", "{\"a\":\"b\u2028c\"}"},
        {"deletion", "a: 'b\x7f'\n", "{\"a\":\"b\x7f\"}"},
        {"core_tags",
         "a: !!str 5\nb: !!int 5\nc: !!seq [1]\nd: !!map {e: !!str null}\nf: ! '5'\n",
         R"({"a":"5","b":5,"c":[1],"d":{"e":"null"},"f":"5"})"},
        {"core_tags_beside_an_address",
         "[::1, !!str 5, !!str NULL, !!seq [1], \"!\"]\n",
         R"(["::1","5","NULL",[1],"!"])"},
    }),
    [](const auto& row) { return row.param.name; });

struct Unreadable {
    std::string name;
    std::string text;
    std::string error;
};

class UnreadableDocuments : public testing::TestWithParam<Unreadable> {};

TEST_P(UnreadableDocuments, SayWhereAndWhy) {
    const auto documents = parse_documents("f.yaml", GetParam().text);
    ASSERT_FALSE(documents);
    EXPECT_TRUE(documents.error().text.starts_with(GetParam().error)) << documents.error().text;
}

INSTANTIATE_TEST_SUITE_P(
    Document,
    UnreadableDocuments,
    testing::ValuesIn(std::vector<Unreadable>{
        {"no_yaml", "a: [b\n", "f.yaml:2: not readable as YAML"},
        {"second_document", "---\nkind: [\n", "f.yaml:3: not readable as YAML"},
        {"given_twice", "kind: Tier\nkind: Tier\n", "f.yaml:2: not readable as YAML: 'kind' is"},
        {"alias", "a: &x 1\nb: *x\n", "f.yaml:2: not readable as YAML: aliases"},
        {"latin_1", "a: b\nc: caf\xe9\n", "f.yaml:2: not readable as YAML: not a text in UTF-8"},
        {"cut_off", "a: b\xc3", "f.yaml:1: not readable as YAML: not a text in UTF-8"},
        {"given_twice_behind_odd_characters",
         "# \u2028\nkind: Tier\nkind: Tier\n",
         "f.yaml:3: not readable as YAML: 'kind' is"},
        {"alias_behind_addresses", "a: &x 1\nb: [::1, *x]\n", "f.yaml:1: not readable as YAML: an"},
        {"anchor_for_an_operator",
         "a: b\nc: && has(d)\n",
         "f.yaml:2: not readable as YAML: anchors (&name) are not supported"},
        {"tag_as_key",
         "a: b\n!has(c): d\n",
         "f.yaml:2: not readable as YAML: '!has(c):' is a YAML"},
        {"two_documents", "- ::1\n- [::1]\n...\na: b\n", "f.yaml:4: not readable as YAML: expe"},
        {"control_character",
         "a: b\nc: \x1b\n",
         "f.yaml:2: not readable as YAML: control characters are not allowed"},
        {"zero",
         std::string("a: b\nc: d\n#\0\n", 13),
         "f.yaml:3: not readable as YAML: control characters are not allowed"},
        {"end_of_text_in_odd_text",
         "a: \u2028\nc: \x04\n",
         "f.yaml:2: not readable as YAML: control characters are not allowed"},
    }),
    [](const auto& row) { return row.param.name; });

/// Items of lists are written anew before they are handed on.
TEST(Document, ATagSurvivesWriting) {
    const auto read = parse_documents("f.yaml", "a: !has(b) c\n");
    ASSERT_TRUE(read) << read.error().text;
    const auto again = parse_documents("g.yaml", to_yaml(read->at(0).root));
    ASSERT_TRUE(again) << again.error().text;
    EXPECT_EQ(again->at(0).root.find("a")->type, Node::Type::Tagged);
}

TEST(Document, ThereIsNoByteOrderMarkInItsText) {
    const auto read = parse_documents("f.yaml", "\ufeffa: 1\n");
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(read->at(0).text, "a: 1\n");
}

}  // namespace
}  // namespace vr::policy::document_test
