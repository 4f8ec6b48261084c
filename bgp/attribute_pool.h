// AttributePool: every distinct attribute set exists once.
//
// A million routes share few sets: interning makes a route 8 bytes of attributes, equality one
// comparison of pointers, and bucketing by set (UPDATE packing) possible.  A set that an import filter
// made remembers the one that was received, so that a changed filter needs no peer to say it again.
// Single-threaded; the pool outlives every reference.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <utility>

#include <boost/unordered/unordered_flat_set.hpp>

#include "bgp/attributes.h"

namespace vr::bgp {

class AttributePool;
class AttributesRef;

namespace detail {

struct PooledAttributes;

}  // namespace detail

/// A counted reference to an interned set, or nothing.
class AttributesRef {
  public:
    AttributesRef() noexcept = default;

    AttributesRef(const AttributesRef& other) noexcept : node_(other.node_) { retain(); }

    AttributesRef(AttributesRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}

    AttributesRef& operator=(AttributesRef other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }

    ~AttributesRef() { release(); }

    [[nodiscard]] explicit operator bool() const noexcept { return node_ != nullptr; }

    [[nodiscard]] inline const Attributes& operator*() const noexcept;
    [[nodiscard]] inline const Attributes* operator->() const noexcept;

    /// Orders references by the age of their sets; nothing comes first.
    [[nodiscard]] inline std::uint64_t serial() const noexcept;

    /// What the peer sent, when an import filter made this out of it; else this.
    [[nodiscard]] inline const AttributesRef& received() const noexcept;

    /// Room for what NextHops knows of the set's next hop, so that it need not look it up again.
    struct Reachability {
        std::uint32_t stamp = 0;  ///< of the answer; 0: none yet
        std::uint32_t metric = 0;
        bool reachable = false;
        bool over_bgp = false;
    };

    [[nodiscard]] inline Reachability& reachability() const noexcept;

    friend bool operator==(const AttributesRef&, const AttributesRef&) noexcept = default;

  private:
    friend class AttributePool;

    inline explicit AttributesRef(detail::PooledAttributes* node) noexcept;
    inline void retain() const noexcept;
    inline void release() noexcept;

    detail::PooledAttributes* node_ = nullptr;
};

namespace detail {

struct PooledAttributes {
    Attributes value;
    AttributesRef received;  ///< nothing: `value` itself was
    std::size_t hash;
    AttributePool* pool;
    std::uint64_t serial;  ///< order of creation: a stable order for packing
    std::uint32_t references;
    AttributesRef::Reachability reachability;
};

static_assert(sizeof(PooledAttributes) <= 256);

}  // namespace detail

class AttributePool {
  public:
    AttributePool() = default;
    AttributePool(const AttributePool&) = delete;
    AttributePool& operator=(const AttributePool&) = delete;
    AttributePool(AttributePool&&) = delete;
    AttributePool& operator=(AttributePool&&) = delete;
    ~AttributePool();

    /// The one reference to sets equal to `attributes`.
    [[nodiscard]] AttributesRef intern(Attributes&& attributes);

    [[nodiscard]] AttributesRef intern(const Attributes& attributes) {
        return intern(Attributes{attributes});
    }

    /// The one reference to what an import filter made of `received`.
    [[nodiscard]] AttributesRef intern(Attributes&& attributes, const AttributesRef& received);

    /// Distinct sets alive.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

  private:
    friend class AttributesRef;

    struct Key {
        const Attributes& value;
        const AttributesRef& received;
        std::size_t hash;
    };

    struct Hash {
        using is_transparent = void;

        std::size_t operator()(const detail::PooledAttributes* node) const noexcept {
            return node->hash;
        }

        std::size_t operator()(const Key& key) const noexcept { return key.hash; }
    };

    struct Equal {
        using is_transparent = void;

        bool operator()(
            const detail::PooledAttributes* a, const detail::PooledAttributes* b) const noexcept {
            return a == b;
        }

        bool operator()(const Key& a, const detail::PooledAttributes* b) const noexcept {
            return a.hash == b->hash && a.received == b->received && a.value == b->value;
        }

        bool operator()(const detail::PooledAttributes* a, const Key& b) const noexcept {
            return (*this)(b, a);
        }
    };

    using Set = boost::unordered_flat_set<detail::PooledAttributes*, Hash, Equal>;

    /// Many small sets: none takes long to grow.
    static constexpr std::size_t kShards = 256;

    [[nodiscard]] Set& shard(std::size_t hash) noexcept { return shards_[hash % kShards]; }

    void drop(detail::PooledAttributes* node) noexcept;

    std::array<Set, kShards> shards_;
    std::size_t size_ = 0;
    std::uint64_t next_serial_ = 1;
};

inline AttributesRef::AttributesRef(detail::PooledAttributes* node) noexcept : node_(node) {
    retain();
}

inline const Attributes& AttributesRef::operator*() const noexcept {
    return node_->value;
}

inline const Attributes* AttributesRef::operator->() const noexcept {
    return &node_->value;
}

inline std::uint64_t AttributesRef::serial() const noexcept {
    return node_ == nullptr ? 0 : node_->serial;
}

inline const AttributesRef& AttributesRef::received() const noexcept {
    return node_ != nullptr && node_->received ? node_->received : *this;
}

inline AttributesRef::Reachability& AttributesRef::reachability() const noexcept {
    return node_->reachability;
}

inline void AttributesRef::retain() const noexcept {
    if (node_ != nullptr) {
        ++node_->references;
    }
}

inline void AttributesRef::release() noexcept {
    if (node_ != nullptr && --node_->references == 0) {
        node_->pool->drop(node_);
    }
    node_ = nullptr;
}

}  // namespace vr::bgp
