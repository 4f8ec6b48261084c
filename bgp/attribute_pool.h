// AttributePool: every distinct attribute set exists once.
//
// A million routes share few sets: interning makes a route 8 bytes of attributes, equality one
// comparison of pointers, and bucketing by set (UPDATE packing) possible.  Single-threaded; the pool
// outlives every reference.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <utility>

#include <boost/unordered/unordered_flat_set.hpp>

#include "bgp/attributes.h"

namespace vr::bgp {

class AttributePool;

namespace detail {

struct PooledAttributes {
    Attributes value;
    std::size_t hash;
    AttributePool* pool;
    std::uint64_t serial;  ///< order of creation: a stable order for packing
    std::uint32_t references;
};

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

    [[nodiscard]] const Attributes& operator*() const noexcept { return node_->value; }

    [[nodiscard]] const Attributes* operator->() const noexcept { return &node_->value; }

    /// Orders references by the age of their sets; nothing comes first.
    [[nodiscard]] std::uint64_t serial() const noexcept {
        return node_ == nullptr ? 0 : node_->serial;
    }

    friend bool operator==(const AttributesRef&, const AttributesRef&) noexcept = default;

  private:
    friend class AttributePool;

    explicit AttributesRef(detail::PooledAttributes* node) noexcept : node_(node) { retain(); }

    void retain() const noexcept {
        if (node_ != nullptr) {
            ++node_->references;
        }
    }

    void release() noexcept;

    detail::PooledAttributes* node_ = nullptr;
};

class AttributePool {
  public:
    AttributePool() = default;
    AttributePool(const AttributePool&) = delete;
    AttributePool& operator=(const AttributePool&) = delete;
    AttributePool(AttributePool&&) = delete;
    AttributePool& operator=(AttributePool&&) = delete;
    ~AttributePool();

    /// The one reference to sets equal to `attributes`.
    [[nodiscard]] AttributesRef intern(Attributes attributes);

    /// Distinct sets alive.
    [[nodiscard]] std::size_t size() const noexcept { return sets_.size(); }

  private:
    friend class AttributesRef;

    struct Key {
        const Attributes& value;
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
            return a.hash == b->hash && a.value == b->value;
        }

        bool operator()(const detail::PooledAttributes* a, const Key& b) const noexcept {
            return (*this)(b, a);
        }
    };

    void drop(detail::PooledAttributes* node) noexcept;

    boost::unordered_flat_set<detail::PooledAttributes*, Hash, Equal> sets_;
    std::uint64_t next_serial_ = 1;
};

inline void AttributesRef::release() noexcept {
    if (node_ != nullptr && --node_->references == 0) {
        node_->pool->drop(node_);
    }
    node_ = nullptr;
}

}  // namespace vr::bgp
