// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/classifier_engine.h"

#include <immintrin.h>

namespace vr::acl {
namespace {

unsigned intersect_portable(const Query& query, std::ptrdiff_t block, Block& live) noexcept {
    const auto merge = [block](Block& into, const Block* row) {
        for (unsigned w = 0; w < 8; ++w) {
            into.words[w] |= row[block].words[w];
        }
    };
    live = query.rows[0][block];
    for (unsigned i = 1; i < query.count; ++i) {
        for (unsigned w = 0; w < 8; ++w) {
            live.words[w] &= query.rows[i][block].words[w];
        }
    }
    for (const GroupRows& side : query.groups) {
        if (side.base == nullptr) {
            continue;
        }
        Block wanted = side.base[block];
        Block unwanted;
        for (unsigned i = 0; i < side.wanted_count; ++i) {
            merge(wanted, side.wanted[i]);
        }
        for (unsigned i = 0; i < side.unwanted_in(block); ++i) {
            merge(unwanted, side.unwanted[i]);
        }
        for (unsigned w = 0; w < 8; ++w) {
            live.words[w] &= wanted.words[w] & ~unwanted.words[w];
        }
    }
    unsigned mask = 0;
    for (unsigned w = 0; w < 8; ++w) {
        mask |= (live.words[w] != 0 ? 1U : 0U) << w;
    }
    return mask;
}

[[gnu::target("avx2")]] inline __m256i half_of(const Block& block, unsigned half) noexcept {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(&block) + half);
}

[[gnu::target("avx2")]] unsigned intersect_avx2(
    const Query& query, std::ptrdiff_t block, Block& live) noexcept {
    unsigned mask = 0;
    for (unsigned half = 0; half < 2; ++half) {
        __m256i all = half_of(query.rows[0][block], half);
        for (unsigned i = 1; i < query.count; ++i) {
            all = _mm256_and_si256(all, half_of(query.rows[i][block], half));
        }
        for (const GroupRows& side : query.groups) {
            if (side.base == nullptr) {
                continue;
            }
            __m256i wanted = half_of(side.base[block], half);
            for (unsigned i = 0; i < side.wanted_count; ++i) {
                wanted = _mm256_or_si256(wanted, half_of(side.wanted[i][block], half));
            }
            all = _mm256_and_si256(all, wanted);
            for (unsigned i = 0; i < side.unwanted_in(block); ++i) {
                all = _mm256_andnot_si256(half_of(side.unwanted[i][block], half), all);
            }
        }
        reinterpret_cast<__m256i*>(&live)[half] = all;
        const __m256i zero = _mm256_cmpeq_epi64(all, _mm256_setzero_si256());
        const auto zeros = static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(zero)));
        mask |= (~zeros & 0xfU) << (4 * half);
    }
    return mask;
}

[[gnu::target("avx512f")]] unsigned intersect_avx512(
    const Query& query, std::ptrdiff_t block, Block& live) noexcept {
    __m512i all = _mm512_load_si512(&query.rows[0][block]);
    for (unsigned i = 1; i < query.count; ++i) {
        all = _mm512_and_si512(all, _mm512_load_si512(&query.rows[i][block]));
    }
    for (const GroupRows& side : query.groups) {
        if (side.base == nullptr) {
            continue;
        }
        __m512i wanted = _mm512_load_si512(&side.base[block]);
        for (unsigned i = 0; i < side.wanted_count; ++i) {
            wanted = _mm512_or_si512(wanted, _mm512_load_si512(&side.wanted[i][block]));
        }
        all = _mm512_and_si512(all, wanted);
        for (unsigned i = 0; i < side.unwanted_in(block); ++i) {
            all &= ~_mm512_load_si512(&side.unwanted[i][block]);
        }
    }
    _mm512_store_si512(&live, all);
    return _mm512_test_epi64_mask(all, all);
}

}  // namespace

std::vector<Intersect> usable_intersects() {
    std::vector<Intersect> usable{intersect_portable};
    if (__builtin_cpu_supports("avx2") != 0) {
        usable.push_back(intersect_avx2);
    }
    if (__builtin_cpu_supports("avx512f") != 0) {
        usable.push_back(intersect_avx512);
    }
    return usable;
}

Intersect best_intersect() noexcept {
    if (__builtin_cpu_supports("avx512f") != 0) {
        return intersect_avx512;
    }
    return __builtin_cpu_supports("avx2") != 0 ? intersect_avx2 : intersect_portable;
}

}  // namespace vr::acl
