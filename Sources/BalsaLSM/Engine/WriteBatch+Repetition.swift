import BalsaPlatform

/// The search for a key that a batch writes twice.
///
/// Two writes of one key have the same sequence number, and hence no order. The engine refuses such a batch before it
/// reaches the log. The search runs once for each batch, so its cost counts:
///
/// 1. A batch of one key needs none.
/// 2. Keys that ascend are compared with the key before. Most batches of several keys are sorted.
/// 3. Otherwise an open hash table finds equal keys. It holds eight bytes a slot and no copy of a key.
/// 4. Keys that are chosen so that their hashes collide are sorted instead: the search never takes quadratic time.
extension WriteBatch {
    /// Where the second write of a key begins in the encoded form; nil if each key is written once.
    ///
    /// Complexity: O(n) for ascending keys and for keys whose hashes differ; O(n log n) at worst.
    var repetition: Int? {
        guard count - rangeDeletionCount > 1 else { return nil }
        return withEncoded { raw in
            switch WriteBatch.compareNeighbours(raw) {
            case .ascending: return nil
            case .repeated(let offset): return offset
            case .unordered: break
            }
            let keyCount = count - rangeDeletionCount
            switch WriteBatch.searchByHash(raw, keyCount) {
            case .ascending: return nil
            case .repeated(let offset): return offset
            case .unordered: return WriteBatch.searchByOrder(raw, keyCount)
            }
        }
    }

    /// The key of the operation at `offset`, which ``repetition`` has returned.
    func key(at offset: Int) -> Bytes {
        withEncoded { raw in
            var offset = offset
            return Bytes(copying: WriteBatch.operation(of: raw, at: &offset).key)
        }
    }

    /// What one way to search says.
    private enum Finding {
        /// No key is repeated.
        case ascending
        /// The write at this offset repeats a key.
        case repeated(Int)
        /// This way does not decide.
        case unordered
    }

    private static func compareNeighbours(_ raw: UnsafeRawBufferPointer) -> Finding {
        var previous: UnsafeRawBufferPointer?
        var offset = headerBytes
        while offset < raw.count {
            let start = offset
            let (kind, key, _) = operation(of: raw, at: &offset)
            guard kind != ValueKind.rangeDeletion.rawValue else { continue }
            if let previous {
                switch KeyBytes.order(previous, key, from: 0) {
                case .before: break
                case .same: return .repeated(start)
                case .after: return .unordered
                }
            }
            previous = key
        }
        return .ascending
    }

    /// A slot holds the upper half of a key's hash and, below it, the offset of the operation; 0 if it is free.
    private static func searchByHash(_ raw: UnsafeRawBufferPointer, _ keyCount: Int) -> Finding {
        let bits = max(3, Int.bitWidth - (2 * keyCount - 1).leadingZeroBitCount)
        let mask = 1 << bits - 1
        return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: mask + 1) { slots in
            slots.initialize(repeating: 0)
            var probesLeft = 8 * keyCount
            var offset = headerBytes
            while offset < raw.count {
                let start = offset
                let (kind, key, _) = operation(of: raw, at: &offset)
                guard kind != ValueKind.rangeDeletion.rawValue else { continue }
                let hash = KeyHash.hash(key)
                let tag = hash & 0xffff_ffff_0000_0000
                var slot = Int(truncatingIfNeeded: hash) & mask
                while slots[slot] != 0 {
                    if slots[slot] & 0xffff_ffff_0000_0000 == tag {
                        var other = Int(slots[slot] & 0xffff_ffff)
                        if KeyOrder.isEqual(operation(of: raw, at: &other).key, key) { return .repeated(start) }
                    }
                    probesLeft -= 1
                    guard probesLeft > 0 else { return .unordered }
                    slot = (slot + 1) & mask
                }
                // A batch has less than 2^31 bytes, and its first operation begins behind the header.
                slots[slot] = tag | UInt64(start)
            }
            return .ascending
        }
    }

    private static func searchByOrder(_ raw: UnsafeRawBufferPointer, _ keyCount: Int) -> Int? {
        var starts: [Int] = []
        starts.reserveCapacity(keyCount)
        var offset = headerBytes
        while offset < raw.count {
            let start = offset
            if operation(of: raw, at: &offset).kind != ValueKind.rangeDeletion.rawValue { starts.append(start) }
        }
        func key(_ start: Int) -> UnsafeRawBufferPointer {
            var offset = start
            return operation(of: raw, at: &offset).key
        }
        starts.sort { left, right in
            let order = KeyOrder.compare(key(left), key(right))
            return order != 0 ? order < 0 : left < right
        }
        let pairs = zip(starts, starts.dropFirst())
        return pairs.first { KeyOrder.isEqual(key($0), key($1)) }?.1
    }
}
