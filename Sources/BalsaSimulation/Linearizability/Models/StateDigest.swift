import BalsaPlatform

/// A digest of byte strings that can be continued where bytes are appended, the same in every process.
enum StateDigest {
    /// The digest of no bytes.
    static let empty: UInt64 = 0xcbf2_9ce4_8422_2325

    /// The digest after `bytes` behind what `digest` stands for (FNV-1a).
    static func extended(_ digest: UInt64, by bytes: Bytes) -> UInt64 {
        bytes.withUnsafeBytes { raw in
            var result = digest
            for byte in raw { result = (result ^ UInt64(byte)) &* 0x100_0000_01b3 }
            return result
        }
    }
}
