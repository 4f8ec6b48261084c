// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/messages.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include <boost/json.hpp>

namespace vr::policy::etcd {

namespace {

namespace json = boost::json;

std::string to_base64(std::string_view bytes) {
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const int size = EVP_EncodeBlock(
        reinterpret_cast<unsigned char*>(text.data()),
        reinterpret_cast<const unsigned char*>(bytes.data()),
        static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::optional<std::string> from_base64(std::string_view text) {
    const bool even = text.size() % 4 == 0 && text.size() < std::numeric_limits<int>::max();
    // The library skips white space, which would shift what the padding says about the size.
    if (!even || text.find_first_of(" \t\r\n") != std::string_view::npos) {
        return std::nullopt;
    }
    const std::size_t padding =
        text.ends_with("==") ? 2U : static_cast<std::size_t>(text.ends_with('='));
    std::string bytes(text.size() / 4 * 3 + 1, '\0');
    const int size = EVP_DecodeBlock(
        reinterpret_cast<unsigned char*>(bytes.data()),
        reinterpret_cast<const unsigned char*>(text.data()),
        static_cast<int>(text.size()));
    if (size < static_cast<int>(padding)) {
        return std::nullopt;
    }
    bytes.resize(static_cast<std::size_t>(size) - padding);
    return bytes;
}

/// Reads fields of an object; remembers failure, like wire.h's Reader.
class Fields {
  public:
    Fields(const json::object& object, bool& ok) : object_(object), ok_(ok) {}

    /// Absent is 0, as the gateway leaves zeros out.
    template <typename Integer>
    Integer number(std::string_view name) {
        const json::value* value = object_.if_contains(name);
        if (value == nullptr) {
            return 0;
        }
        Integer number = 0;
        if (const auto* text = value->if_string()) {
            const char* end = text->data() + text->size();
            const auto [stop, error] = std::from_chars(text->data(), end, number);
            ok_ = ok_ && error == std::errc{} && stop == end;
        } else if (const auto* small = value->if_int64();
                   small != nullptr && std::in_range<Integer>(*small)) {
            number = static_cast<Integer>(*small);
        } else {
            ok_ = false;
        }
        return ok_ ? number : Integer{0};
    }

    /// A revision, which is never negative.
    std::int64_t revision(std::string_view name) {
        const auto number = this->number<std::int64_t>(name);
        ok_ = ok_ && number >= 0;
        return std::max<std::int64_t>(number, 0);
    }

    bool boolean(std::string_view name) {
        const json::value* value = object_.if_contains(name);
        if (value == nullptr) {
            return false;
        }
        ok_ = ok_ && value->is_bool();
        return ok_ && value->get_bool();
    }

    std::string text(std::string_view name) {
        const json::value* value = object_.if_contains(name);
        if (value == nullptr) {
            return {};
        }
        ok_ = ok_ && value->is_string();
        return ok_ ? std::string(std::string_view(value->get_string())) : std::string();
    }

    std::string bytes(std::string_view name) {
        const json::value* value = object_.if_contains(name);
        if (value == nullptr) {
            return {};
        }
        const auto* text = value->if_string();
        auto decoded = text != nullptr ? from_base64(*text) : std::nullopt;
        ok_ = ok_ && decoded;
        return ok_ ? *std::move(decoded) : std::string();
    }

    /// Calls `read(object)` for each object of a list.
    template <typename Read>
    void each(std::string_view name, Read read) {
        const json::value* value = object_.if_contains(name);
        if (value == nullptr) {
            return;
        }
        const auto* list = value->if_array();
        ok_ = ok_ && list != nullptr;
        for (std::size_t i = 0; ok_ && i < list->size(); ++i) {
            const auto* object = (*list)[i].if_object();
            ok_ = object != nullptr;
            if (ok_) {
                read(*object);
            }
        }
    }

    [[nodiscard]] const json::object* object(std::string_view name) {
        const json::value* value = object_.if_contains(name);
        return value != nullptr ? value->if_object() : nullptr;
    }

  private:
    const json::object& object_;
    bool& ok_;
};

Header read_header(Fields& fields, bool& ok) {
    const auto* object = fields.object("header");
    if (object == nullptr) {
        ok = false;
        return {};
    }
    Fields header(*object, ok);
    return {header.number<std::uint64_t>("cluster_id"), header.revision("revision")};
}

KeyValue read_item(const json::object& object, bool& ok) {
    Fields fields(object, ok);
    KeyValue item;
    item.key = fields.bytes("key");
    item.value = fields.bytes("value");
    item.mod_revision = fields.revision("mod_revision");
    item.create_revision = fields.revision("create_revision");
    return item;
}

/// Reads `text` by `read(fields, ok)`.
template <typename T, typename Read>
Result<T> decode(std::string_view what, std::string_view text, Read read) {
    json::monotonic_resource memory;
    boost::system::error_code error;
    const json::value value = json::parse(text, error, &memory);
    const auto* object = error ? nullptr : value.if_object();
    if (object == nullptr) {
        return fail(fmt::format("etcd's answer to {} is no JSON object", what));
    }
    bool ok = true;
    Fields fields(*object, ok);
    T reply = read(fields, ok);
    if (!ok) {
        return fail(fmt::format("etcd's answer to {} is malformed", what));
    }
    return reply;
}

}  // namespace

std::string prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && end.back() == '\xff') {
        end.pop_back();
    }
    if (end.empty()) {
        return {'\0'};
    }
    end.back() = static_cast<char>(end.back() + 1);
    return end;
}

std::string encode(const RangeRequest& request) {
    return fmt::format(
        R"({{"key":"{}","range_end":"{}","revision":"{}","limit":"{}"{}}})",
        to_base64(request.key),
        to_base64(request.end),
        request.revision,
        request.limit,
        request.keys_only ? R"(,"keys_only":true)" : "");
}

Result<RangeReply> decode_range(std::string_view body) {
    return decode<RangeReply>("range", body, [](Fields& fields, bool& ok) {
        RangeReply reply;
        reply.header = read_header(fields, ok);
        reply.more = fields.boolean("more");
        fields.each(
            "kvs", [&](const json::object& item) { reply.items.push_back(read_item(item, ok)); });
        return reply;
    });
}

std::string encode_transaction(const std::vector<Write>& writes) {
    std::string compares;
    std::string operations;
    for (const Write& write : writes) {
        const std::string key = to_base64(write.key);
        const char* comma = compares.empty() ? "" : ",";
        // A key that does not exist has version 0 and mod_revision 0.
        compares += fmt::format(
            R"({}{{"key":"{}","target":"{}","result":"EQUAL","{}":"{}"}})",
            comma,
            key,
            write.expected_revision == 0 ? "VERSION" : "MOD",
            write.expected_revision == 0 ? "version" : "mod_revision",
            write.expected_revision);
        operations +=
            write.value ? fmt::format(
                              R"({}{{"request_put":{{"key":"{}","value":"{}"}}}})",
                              comma,
                              key,
                              to_base64(*write.value))
                        : fmt::format(R"({}{{"request_delete_range":{{"key":"{}"}}}})", comma, key);
    }
    return fmt::format(R"({{"compare":[{}],"success":[{}]}})", compares, operations);
}

Result<TransactionReply> decode_transaction(std::string_view body) {
    return decode<TransactionReply>("txn", body, [](Fields& fields, bool& ok) {
        return TransactionReply{read_header(fields, ok), fields.boolean("succeeded")};
    });
}

std::string encode_put(std::string_view key, std::string_view value, std::int64_t lease) {
    return fmt::format(
        R"({{"key":"{}","value":"{}","lease":"{}"}})", to_base64(key), to_base64(value), lease);
}

std::string encode_delete(std::string_view key) {
    return fmt::format(R"({{"key":"{}"}})", to_base64(key));
}

std::string encode_grant(std::int64_t seconds) {
    return fmt::format(R"({{"TTL":"{}"}})", seconds);
}

Result<std::int64_t> decode_grant(std::string_view body) {
    return decode<std::int64_t>("lease grant", body, [](Fields& fields, bool& ok) {
        const auto id = fields.number<std::int64_t>("ID");
        ok = ok && id != 0;
        return id;
    });
}

std::string encode_keep_alive(std::int64_t lease) {
    return fmt::format(R"({{"ID":"{}"}})", lease);
}

Result<std::int64_t> decode_keep_alive(std::string_view body) {
    return decode<std::int64_t>("lease keepalive", body, [](Fields& fields, bool& ok) {
        const auto* result = fields.object("result");
        ok = ok && result != nullptr;
        return ok ? Fields(*result, ok).number<std::int64_t>("TTL") : 0;
    });
}

std::string encode_authenticate(std::string_view name, std::string_view password) {
    return json::serialize(json::object{{"name", name}, {"password", password}});
}

Result<std::string> decode_authenticate(std::string_view body) {
    return decode<std::string>("authenticate", body, [](Fields& fields, bool& ok) {
        std::string token = fields.text("token");
        // It goes into a header line.
        ok = ok && !token.empty() &&
             std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; });
        return token;
    });
}

std::string encode(const WatchRequest& request) {
    return fmt::format(
        R"({{"create_request":{{"key":"{}","range_end":"{}","start_revision":"{}",)"
        R"("progress_notify":true}}}})",
        to_base64(request.key),
        to_base64(request.end),
        request.start_revision);
}

Result<WatchReply> decode_watch(std::string_view line) {
    return decode<WatchReply>("watch", line, [](Fields& fields, bool& ok) {
        WatchReply reply;
        const auto* result = fields.object("result");
        if (result == nullptr) {
            // The stream ends with an error.
            const auto* error = fields.object("error");
            ok = ok && error != nullptr;
            reply.canceled = true;
            reply.cancel_reason = ok ? Fields(*error, ok).text("message") : std::string();
            return reply;
        }
        Fields inner(*result, ok);
        reply.header = read_header(inner, ok);
        reply.created = inner.boolean("created");
        reply.canceled = inner.boolean("canceled");
        reply.compact_revision = inner.revision("compact_revision");
        reply.cancel_reason = inner.text("cancel_reason");
        inner.each("events", [&](const json::object& object) {
            Fields event(object, ok);
            const std::string type = event.text("type");
            const auto* item = event.object("kv");
            ok = ok && item != nullptr && (type.empty() || type == "PUT" || type == "DELETE");
            if (ok) {
                reply.events.push_back({type == "DELETE", read_item(*item, ok)});
            }
        });
        return reply;
    });
}

Refusal decode_refusal(unsigned status, std::string_view body) {
    boost::system::error_code error;
    const json::value value = json::parse(body, error);
    const auto* object = error ? nullptr : value.if_object();
    Refusal refusal{0, fmt::format("HTTP status {}", status)};
    if (object != nullptr) {
        bool ok = true;
        Fields fields(*object, ok);
        const int code = fields.number<int>("code");
        const std::string text = fields.text("message");
        if (ok) {
            refusal.code = code;
            refusal.text = text.empty() ? refusal.text : text;
        }
    }
    return refusal;
}

}  // namespace vr::policy::etcd
