// SPDX-License-Identifier: Apache-2.0
#include "policy/file_state.h"

#include <cstdint>
#include <utility>

#include "policy/sealed_file.h"

namespace vr::policy {

namespace {

constexpr std::string_view kFilesMagic = "vrouter files state 1\n";

std::string text_of(const Catalog::Good& texts) {
    std::string all;
    for (const auto& text : texts) {
        all += (all.empty() ? "" : "\n---\n") + *text;
    }
    return all;
}

}  // namespace

std::string encode_files(
    std::string_view directory, const std::map<std::string, Catalog::Good>& files) {
    std::string bytes(kFilesMagic);
    put_text(bytes, directory);
    put_number(bytes, static_cast<std::uint32_t>(files.size()));
    for (const auto& [name, texts] : files) {
        put_text(bytes, name);
        put_text(bytes, text_of(texts));
    }
    seal(bytes);
    return bytes;
}

Result<GoodTexts> decode_files(std::string_view directory, std::string_view bytes) {
    const auto content = unseal(kFilesMagic, bytes);
    if (!content) {
        return std::unexpected(content.error());
    }
    Reader reader(*content);
    if (const std::string of = get_text(reader); of != directory) {
        return fail("is of the directory " + of);
    }
    GoodTexts texts;
    const auto count = reader.u32();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
        std::string name = get_text(reader);
        texts[std::move(name)] = get_text(reader);
    }
    if (!reader.done()) {
        return fail("is damaged");
    }
    return texts;
}

Result<GoodTexts> read_good_texts(const std::string& path, std::string_view directory) {
    const auto bytes = read_whole(path);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    if (!*bytes) {
        return GoodTexts{};
    }
    auto texts = decode_files(directory, **bytes);
    return texts ? std::move(texts) : fail(std::move(texts).error(), path);
}

}  // namespace vr::policy
