// SPDX-License-Identifier: Apache-2.0
#include "qcow/sector_cipher.hpp"

#include <gcrypt.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::size_t kLargestBlock = 16;
constexpr std::size_t kMostIdle = 4;  // contexts that are kept: locked memory is scarce

struct KnownCipher {
    std::string_view name;
    std::size_t key_length;
    int algorithm;
};
// libgcrypt has no Twofish with 192 bits.
constexpr std::array kCiphers = {
    KnownCipher{"aes", 16, GCRY_CIPHER_AES128},
    KnownCipher{"aes", 24, GCRY_CIPHER_AES192},
    KnownCipher{"aes", 32, GCRY_CIPHER_AES256},
    KnownCipher{"serpent", 16, GCRY_CIPHER_SERPENT128},
    KnownCipher{"serpent", 24, GCRY_CIPHER_SERPENT192},
    KnownCipher{"serpent", 32, GCRY_CIPHER_SERPENT256},
    KnownCipher{"twofish", 16, GCRY_CIPHER_TWOFISH128},
    KnownCipher{"twofish", 32, GCRY_CIPHER_TWOFISH},
    KnownCipher{"cast5", 16, GCRY_CIPHER_CAST5},
};

struct KnownHash {
    std::string_view name;
    int algorithm;
};
constexpr std::array kHashes = {
    KnownHash{"sha1", GCRY_MD_SHA1},     KnownHash{"sha224", GCRY_MD_SHA224},
    KnownHash{"sha256", GCRY_MD_SHA256}, KnownHash{"sha384", GCRY_MD_SHA384},
    KnownHash{"sha512", GCRY_MD_SHA512}, KnownHash{"ripemd160", GCRY_MD_RMD160},
};

Result<int> find_algorithm(std::string_view name, std::size_t key_length) {
    const auto found = std::ranges::find_if(kCiphers, [&](const KnownCipher& known) {
        return known.name == name && known.key_length == key_length;
    });
    if (found == kCiphers.end()) {
        return failure(ENOTSUP, fmt::format("the cipher '{}' with a key of {} bits is not "
                                            "supported",
                                            name, key_length * 8));
    }
    return found->algorithm;
}

Status find_iv(CipherSpec& spec, std::string_view name, std::string_view iv) {
    if (iv == "plain" || iv == "plain64") {
        spec.iv = iv == "plain" ? IvKind::kPlain : IvKind::kPlain64;
        return {};
    }
    constexpr std::string_view kEssiv = "essiv:";
    if (!iv.starts_with(kEssiv)) {
        return failure(ENOTSUP, fmt::format("the IV generator '{}' is not supported", iv));
    }
    TRY(spec.essiv_hash, find_hash(iv.substr(kEssiv.size())));
    TRY(spec.essiv_algorithm, find_algorithm(name, gcry_md_get_algo_dlen(spec.essiv_hash)));
    if (gcry_cipher_get_algo_blklen(spec.algorithm) != kLargestBlock) {
        return failure(ENOTSUP, fmt::format("the cipher '{}' with essiv is not supported", name));
    }
    spec.iv = IvKind::kEssiv;
    return {};
}

Result<gcry_cipher_hd_t> open_cipher(int algorithm, int mode, std::span<const std::byte> key) {
    gcry_cipher_hd_t handle = nullptr;
    gcry_error_t error = gcry_cipher_open(&handle, algorithm, mode, GCRY_CIPHER_SECURE);
    if (error == 0) {
        error = gcry_cipher_setkey(handle, key.data(), key.size());
    }
    if (error != 0) {
        gcry_cipher_close(handle);
        return failure(gcry_err_code(error) == GPG_ERR_ENOMEM ? ENOMEM : EINVAL,
                       fmt::format("libgcrypt does not take the key: {}", gcry_strerror(error)));
    }
    return handle;
}

}  // namespace

Result<int> find_hash(std::string_view name) {
    const auto found = std::ranges::find(kHashes, name, &KnownHash::name);
    if (found == kHashes.end()) {
        return failure(ENOTSUP, fmt::format("the hash '{}' is not supported", name));
    }
    return found->algorithm;
}

Result<CipherSpec> find_cipher(std::string_view name, std::string_view mode,
                               std::size_t key_length) {
    const std::size_t dash = mode.find('-');
    const std::string_view chaining = mode.substr(0, dash);
    CipherSpec spec;
    spec.key_length = key_length;
    std::size_t cipher_key = key_length;
    if (chaining == "xts") {
        spec.mode = GCRY_CIPHER_MODE_XTS;
        cipher_key = key_length / 2;
    } else if (chaining == "cbc") {
        spec.mode = GCRY_CIPHER_MODE_CBC;
    } else if (chaining == "ecb") {
        spec.mode = GCRY_CIPHER_MODE_ECB;
    } else {
        return failure(ENOTSUP, fmt::format("the cipher mode '{}' is not supported", chaining));
    }
    if (chaining == "xts" && key_length % 2 != 0) {
        return failure(EINVAL, fmt::format("a key of {} bytes has no halves", key_length));
    }
    TRY(spec.algorithm, find_algorithm(name, cipher_key));
    if (chaining == "xts" && gcry_cipher_get_algo_blklen(spec.algorithm) != kLargestBlock) {
        return failure(ENOTSUP, fmt::format("the cipher '{}' in mode xts is not supported", name));
    }
    if (chaining != "ecb") {
        if (dash == std::string_view::npos) {
            return failure(EINVAL, fmt::format("the mode '{}' names no IV generator", mode));
        }
        CHECK(find_iv(spec, name, mode.substr(dash + 1)));
    }
    return spec;
}

class SectorCipher::Context {
  public:
    Context() = default;
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    Context(Context&&) = delete;
    Context& operator=(Context&&) = delete;
    ~Context() {
        gcry_cipher_close(cipher_);
        gcry_cipher_close(essiv_);
    }
    Status prepare(const CipherSpec& spec, std::span<const std::byte> key) {
        iv_ = spec.iv;
        iv_length_ = gcry_cipher_get_algo_blklen(spec.algorithm);
        TRY(cipher_, open_cipher(spec.algorithm, spec.mode, key));
        if (iv_ == IvKind::kEssiv) {
            TRY(const SecretBytes hash,
                SecretBytes::allocate(gcry_md_get_algo_dlen(spec.essiv_hash)));
            gcry_md_hash_buffer(spec.essiv_hash, hash.span().data(), key.data(), key.size());
            TRY(essiv_, open_cipher(spec.essiv_algorithm, GCRY_CIPHER_MODE_ECB, hash.span()));
        }
        return {};
    }
    int run(Direction direction, std::span<std::byte> sector, std::uint64_t number) {
        if (iv_ != IvKind::kNone && set_iv(number) != 0) {
            return -EIO;
        }
        const gcry_error_t error =
            direction == Direction::kEncrypt
                ? gcry_cipher_encrypt(cipher_, sector.data(), sector.size(), nullptr, 0)
                : gcry_cipher_decrypt(cipher_, sector.data(), sector.size(), nullptr, 0);
        return error == 0 ? 0 : -EIO;
    }

  private:
    gcry_error_t set_iv(std::uint64_t number) {
        std::array<std::uint8_t, kLargestBlock> iv{};
        const std::size_t digits = iv_ == IvKind::kPlain ? 4 : 8;
        for (std::size_t i = 0; i < digits; ++i) {
            iv[i] = static_cast<std::uint8_t>(number >> (8 * i));
        }
        if (iv_ == IvKind::kEssiv) {
            if (const gcry_error_t error =
                    gcry_cipher_encrypt(essiv_, iv.data(), iv.size(), nullptr, 0);
                error != 0) {
                return error;
            }
        }
        return gcry_cipher_setiv(cipher_, iv.data(), iv_length_);
    }

    IvKind iv_ = IvKind::kNone;
    std::size_t iv_length_ = 0;
    gcry_cipher_hd_t cipher_ = nullptr;
    gcry_cipher_hd_t essiv_ = nullptr;
};

SectorCipher::SectorCipher(const CipherSpec& spec, SecretBytes key)
    : spec_(spec), key_(std::move(key)) {}

SectorCipher::~SectorCipher() = default;

Result<std::unique_ptr<SectorCipher>> SectorCipher::make(const CipherSpec& spec, SecretBytes key) {
    CHECK(prepare_gcrypt());
    std::unique_ptr<SectorCipher> cipher(new SectorCipher(spec, std::move(key)));
    TRY(std::unique_ptr<Context> first, cipher->borrow());
    cipher->idle_.push_back(std::move(first));
    return cipher;
}

/// One that nobody uses, or a new one.
Result<std::unique_ptr<SectorCipher::Context>> SectorCipher::borrow() {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            std::unique_ptr<Context> context = std::move(idle_.back());
            idle_.pop_back();
            return context;
        }
    }
    auto context = std::make_unique<Context>();
    CHECK(context->prepare(spec_, key_.span()));
    return context;
}

int SectorCipher::encrypt(std::span<std::byte> bytes, std::uint64_t sector) {
    return run(Direction::kEncrypt, bytes, sector);
}

int SectorCipher::decrypt(std::span<std::byte> bytes, std::uint64_t sector) {
    return run(Direction::kDecrypt, bytes, sector);
}

int SectorCipher::run(Direction direction, std::span<std::byte> bytes, std::uint64_t sector) {
    Result<std::unique_ptr<Context>> context = borrow();
    if (!context) {
        return -context.error().code;
    }
    int status = 0;
    for (std::size_t at = 0; at < bytes.size() && status == 0; at += kCryptSector) {
        status =
            (*context)->run(direction, bytes.subspan(at, kCryptSector), sector + at / kCryptSector);
    }
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kMostIdle) {
        idle_.push_back(std::move(*context));
    }
    return status;
}

}  // namespace lunkit::qcow
