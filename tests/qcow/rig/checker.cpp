// SPDX-License-Identifier: Apache-2.0
#include "rig/checker.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lunkit/io_request.hpp"
#include "rig/big_endian.hpp"

namespace lunkit::qcow_rig {

namespace {

/// What a host cluster is used for. All but data and compressed data are metadata.
enum class Use : std::uint8_t {
    kNothing,
    kHeader,
    kL1,
    kL2,
    kRefcountTable,
    kRefcountBlock,
    kSnapshotTable,
    kBitmap,
    kLuks,
    kData,
    kCompressedData,
};
constexpr const char* kUseNames[] = {
    "nothing",        "header", "L1 table",    "L2 table", "refcount table", "refcount block",
    "snapshot table", "bitmap", "LUKS header", "data",     "compressed data"};
const char* name_of(Use use) {
    return kUseNames[static_cast<std::size_t>(use)];
}

class Checker {
  public:
    explicit Checker(ImageView image) : image_(image) {}

    CheckReport run() {
        auto layout = read_layout(image_);
        if (!layout) {
            corrupt("header: {}", layout.error().what);
            return std::move(report_);
        }
        layout_ = *layout;
        report_.dirty = layout_.has(Incompatible::kDirty);
        const std::uint64_t clusters = (image_.size() + layout_.cluster() - 1) / layout_.cluster();
        references_.resize(clusters);
        uses_.resize(clusters, Use::kNothing);
        refer(0, layout_.cluster(), Use::kHeader, "header");
        load_refcounts();
        walk_tables();
        compare_refcounts();
        check_copied();
        return std::move(report_);
    }

  private:
    /// A pointer in the active tables, to be compared with its target's refcount at the end.
    struct Pointer {
        std::uint64_t entry;
        std::uint64_t guest;
        bool is_l1;
    };

    template <typename... Args>
    void corrupt(fmt::format_string<Args...> text, Args&&... args) {
        constexpr std::size_t kShown = 8;
        ++report_.corruption_count;
        if (report_.corruptions.size() < kShown) {
            report_.corruptions.push_back(fmt::format(text, std::forward<Args>(args)...));
        }
    }

    /// Counts a reference to each cluster of [offset, +length); false when it is out of the file.
    bool refer(std::uint64_t offset, std::uint64_t length, Use use, std::string_view what) {
        if (length == 0) {
            return true;
        }
        if (offset > (1ULL << 62) || length > (1ULL << 62) ||
            offset + length >= image_.size() + layout_.cluster()) {
            corrupt("{} at {:#x} length {:#x} is out of the file ({:#x} bytes)", what, offset,
                    length, image_.size());
            return false;
        }
        const std::uint64_t last = (offset + length - 1) >> layout_.cluster_bits;
        for (std::uint64_t c = offset >> layout_.cluster_bits; c <= last; ++c) {
            ++references_[c];
            if (uses_[c] != Use::kNothing && uses_[c] != use) {
                corrupt("cluster {:#x} is {} and also {}", c << layout_.cluster_bits,
                        name_of(uses_[c]), name_of(use));
            }
            uses_[c] = use;
        }
        return true;
    }
    bool refer_table(Place place, Use use, std::string_view what) {
        if ((place.offset & (layout_.cluster() - 1)) != 0) {
            corrupt("{} at {:#x} is not aligned", what, place.offset);
            return false;
        }
        return refer(place.offset, place.length, use, what);
    }

    void load_refcounts() {
        if (!refer_table(layout_.refcount_table, Use::kRefcountTable, "refcount table")) {
            layout_.refcount_table = {};
        }
        per_block_ = (layout_.cluster() * 8) >> layout_.refcount_order;
        for (std::uint64_t i = 0; i < layout_.refcount_table.length / 8; ++i) {
            const std::uint64_t entry = entry_at(image_, layout_.refcount_table.offset + i * 8);
            blocks_.push_back(entry);
            if ((entry & (layout_.cluster() - 1)) != 0) {
                corrupt("refcount table entry {} is {:#x}: unaligned", i, entry);
                blocks_.back() = 0;
            } else if (entry != 0 &&
                       !refer(entry, layout_.cluster(), Use::kRefcountBlock, "refcount block")) {
                blocks_.back() = 0;
            }
        }
    }

    [[nodiscard]] std::uint64_t counter(std::uint64_t block, std::uint64_t index) const {
        const std::uint32_t order = layout_.refcount_order;
        const std::uint64_t at = block + ((index << order) >> 3);
        if (at >= image_.size()) {
            return 0;
        }
        const std::byte* const from = &image_[at];
        const std::uint64_t bytes = order < 3 ? 1 : 1ULL << (order - 3);
        if (at + bytes > image_.size()) {
            return 0;
        }
        switch (order) {
            case 3:
                return std::to_integer<std::uint64_t>(*from);
            case 4:
                return load_be<std::uint16_t>(from);
            case 5:
                return load_be<std::uint32_t>(from);
            case 6:
                return load_be<std::uint64_t>(from);
            default: {
                const std::uint32_t bits = 1U << order;
                const auto shift = static_cast<std::uint32_t>((index << order) & 7);
                return (std::to_integer<std::uint64_t>(*from) >> shift) & ((1U << bits) - 1);
            }
        }
    }
    [[nodiscard]] std::uint64_t refcount(std::uint64_t cluster) const {
        const std::uint64_t block = cluster / per_block_;
        return block < blocks_.size() && blocks_[block] != 0
                   ? counter(blocks_[block], cluster % per_block_)
                   : 0;
    }

    void walk_tables() {
        walk_l1(layout_.l1, true);
        if (layout_.snapshots > 0) {
            auto table = read_snapshots(image_, layout_);
            if (!table) {
                corrupt("{}", table.error().what);
                return;
            }
            refer_table({layout_.snapshots_offset, table->length}, Use::kSnapshotTable,
                        "snapshot table");
            for (const SnapshotEntry& snapshot : table->entries) {
                walk_l1(snapshot.l1, false);
            }
        }
        walk_bitmaps();
        if (layout_.luks_header.length > 0) {
            refer_table(layout_.luks_header, Use::kLuks, "LUKS header");
        }
    }

    void walk_l1(Place l1, bool active) {
        if (!refer_table(l1, Use::kL1, "L1 table")) {
            return;
        }
        for (std::uint64_t i = 0; i < l1.length / 8; ++i) {
            const std::uint64_t entry = entry_at(image_, l1.offset + i * 8);
            const std::uint64_t guest = i * layout_.l2_reach();
            if ((entry & ~(kOffsetMask | kCopied)) != 0) {
                corrupt("L1 entry {} is {:#x}: reserved bits", i, entry);
            }
            const std::uint64_t table = entry & kOffsetMask;
            if (table == 0 || !refer_table({table, layout_.cluster()}, Use::kL2, "L2 table")) {
                continue;
            }
            if (active) {
                pointers_.push_back({entry, guest, true});
            }
            walk_l2(table, guest, active);
        }
    }

    void walk_l2(std::uint64_t table, std::uint64_t guest, bool active) {
        const std::uint64_t step = layout_.l2_entry_size();
        for (std::uint64_t at = 0; at < layout_.cluster(); at += step) {
            const std::uint64_t entry = entry_at(image_, table + at);
            if (step == 16) {
                check_subclusters(entry, entry_at(image_, table + at + 8), guest);
            }
            if (entry != 0) {
                visit(entry, guest, active);
            }
            guest += layout_.cluster();
        }
    }

    void check_subclusters(std::uint64_t entry, std::uint64_t bitmap, std::uint64_t guest) {
        const std::uint64_t allocated = bitmap & 0xffff'ffff;
        if ((allocated & (bitmap >> 32)) != 0) {
            corrupt("guest {:#x}: a subcluster is both allocated and zero ({:#x})", guest, bitmap);
        }
        if ((entry & kCompressed) != 0 && bitmap != 0) {
            corrupt("guest {:#x}: a compressed cluster has a subcluster bitmap", guest);
        }
        if (entry == 0 && allocated != 0 && !layout_.has(Incompatible::kDataFile)) {
            corrupt("guest {:#x}: subclusters allocated without a cluster", guest);
        }
    }

    void visit(std::uint64_t entry, std::uint64_t guest, bool active) {
        if ((entry & kCompressed) != 0) {
            if ((entry & kCopied) != 0) {
                corrupt("guest {:#x}: COPIED on a compressed cluster", guest);
            }
            const Place place = compressed_place(layout_, entry);
            refer(place.offset, place.length, Use::kCompressedData, "compressed cluster");
            return;
        }
        const bool may_have_zero_flag =
            layout_.version == 3 && !layout_.has(Incompatible::kExtendedL2);
        const std::uint64_t legal = kOffsetMask | kCopied | (may_have_zero_flag ? kZeroFlag : 0U);
        if ((entry & ~legal) != 0) {
            corrupt("guest {:#x}: L2 entry {:#x} has reserved bits", guest, entry);
        }
        const std::uint64_t host = entry & kOffsetMask;
        if (layout_.has(Incompatible::kDataFile)) {
            if (host != guest && (entry & kCopied) != 0) {
                corrupt("guest {:#x} is at {:#x} of the data file", guest, host);
            }
            return;
        }
        if (host == 0) {
            return;
        }
        if (refer_table({host, layout_.cluster()}, Use::kData, "data cluster") && active) {
            pointers_.push_back({entry, guest, false});
        }
    }

    void walk_bitmaps() {
        if (layout_.bitmaps == 0 || (layout_.autoclear & 1) == 0 ||
            !refer_table(layout_.bitmap_directory, Use::kBitmap, "bitmap directory")) {
            return;
        }
        std::uint64_t at = layout_.bitmap_directory.offset;
        const std::uint64_t end = at + layout_.bitmap_directory.length;
        for (std::uint32_t i = 0; i < layout_.bitmaps && at + 24 <= end; ++i) {
            if (end > image_.size()) {
                corrupt("the bitmap directory is cut off");
                return;
            }
            const Place table{load_be<std::uint64_t>(&image_[at]),
                              load_be<std::uint32_t>(&image_[at + 8]) * 8ULL};
            const std::uint64_t text = load_be<std::uint16_t>(&image_[at + 18]) +
                                       std::uint64_t{load_be<std::uint32_t>(&image_[at + 20])};
            if (refer_table(table, Use::kBitmap, "bitmap table")) {
                for (std::uint64_t e = 0; e < table.length; e += 8) {
                    const std::uint64_t host = entry_at(image_, table.offset + e) & kOffsetMask;
                    refer(host, host == 0 ? 0 : layout_.cluster(), Use::kBitmap, "bitmap");
                }
            }
            at += (24 + text + 7) & ~7ULL;
        }
    }

    void compare_refcounts() {
        if (report_.dirty) {
            return;
        }
        for (std::uint64_t c = 0; c < references_.size(); ++c) {
            const std::uint64_t count = refcount(c);
            if (count < references_[c]) {
                corrupt("cluster {:#x} ({}): refcount {} references {}", c << layout_.cluster_bits,
                        name_of(uses_[c]), count, references_[c]);
            } else if (count > references_[c]) {
                ++report_.leaked_clusters;
            }
            if (uses_[c] == Use::kRefcountBlock && count != 1) {
                corrupt("refcount block {:#x} has refcount {}", c << layout_.cluster_bits, count);
            }
        }
        for (std::uint64_t c = references_.size(); c < blocks_.size() * per_block_; ++c) {
            if (blocks_[c / per_block_] == 0) {
                c += per_block_ - 1 - c % per_block_;
            } else if (refcount(c) != 0) {
                ++report_.leaked_clusters;
            }
        }
    }

    void check_copied() {
        for (const Pointer& pointer : pointers_) {
            const std::uint64_t cluster = (pointer.entry & kOffsetMask) >> layout_.cluster_bits;
            const std::uint64_t count = report_.dirty ? references_[cluster] : refcount(cluster);
            const bool copied = (pointer.entry & kCopied) != 0;
            // Behind a dirty bit a missing COPIED is repaired without harm; one too many is not.
            if (report_.dirty ? copied && count != 1 : copied != (count == 1)) {
                corrupt("{} entry {:#x} of guest {:#x}: COPIED disagrees with refcount {}",
                        pointer.is_l1 ? "L1" : "L2", pointer.entry, pointer.guest, count);
            }
        }
    }

    ImageView image_;
    Layout layout_;
    CheckReport report_;
    std::vector<std::uint32_t> references_;  // by host cluster
    std::vector<Use> uses_;
    std::vector<std::uint64_t> blocks_;  // offsets of the refcount blocks, 0 = none
    std::uint64_t per_block_ = 1;
    std::vector<Pointer> pointers_;
};

}  // namespace

std::string CheckReport::text() const {
    return fmt::format("{} corruptions, {} leaked clusters{}: {}", corruption_count,
                       leaked_clusters, dirty ? ", dirty" : "", fmt::join(corruptions, "; "));
}

CheckReport check_image(ImageView image) {
    return Checker(image).run();
}

}  // namespace lunkit::qcow_rig
