import BalsaPlatform

/// What the demo loads: pairs of a file, or generated ones.
struct DemoInput {
    /// A pair.
    struct Pair: Equatable {
        var key: Bytes
        var value: Bytes
    }

    static let maxKeyBytes = 4 << 10
    static let maxValueBytes = 1 << 20

    /// Why a line is left out.
    static let limits = "a key has at most \(maxKeyBytes) bytes, a value at most \(maxValueBytes)"

    private(set) var pairs: [Pair] = []
    /// The numbers of the lines that were too long.
    private(set) var tooLong: [Int] = []

    /// `count` pairs that are the same in every run.
    init(generating count: Int) {
        var random = RandomSource(seed: 1)
        pairs.reserveCapacity(count)
        for number in 0..<count {
            let digits = String(number)
            let key = "key-" + String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
            var value: [UInt8] = []
            for _ in 0..<100 { value.append(UInt8(33 + random.below(94))) }
            pairs.append(Pair(key: Bytes(key), value: Bytes(value)))
        }
    }

    /// The lines of a file: `key<TAB>value`, or a value alone, whose key is the number of its line. Lines end with a
    /// newline; a carriage return before it belongs to the value.
    init(file bytes: Bytes) {
        bytes.withUnsafeBytes { raw in
            var begin = 0
            var number = 0
            while begin < raw.count {
                let end = raw[begin...].firstIndex(of: UInt8(ascii: "\n")) ?? raw.count
                number += 1
                add(UnsafeRawBufferPointer(rebasing: raw[begin..<end]), number)
                begin = end + 1
            }
        }
    }

    /// The last pair of each key, by ascending key.
    var lastValues: [Pair] {
        var last: [Bytes: Bytes] = [:]
        for pair in pairs { last[pair.key] = pair.value }
        return last.map { Pair(key: $0.key, value: $0.value) }.sorted { $0.key < $1.key }
    }

    private mutating func add(_ line: UnsafeRawBufferPointer, _ number: Int) {
        let tab = line.firstIndex(of: UInt8(ascii: "\t"))
        let key = tab.map { Bytes(copying: UnsafeRawBufferPointer(rebasing: line[..<$0])) } ?? Bytes(String(number))
        let begin = tab.map { $0 + 1 } ?? 0
        guard key.count <= DemoInput.maxKeyBytes, line.count - begin <= DemoInput.maxValueBytes else {
            tooLong.append(number)
            return
        }
        pairs.append(Pair(key: key, value: Bytes(copying: UnsafeRawBufferPointer(rebasing: line[begin...]))))
    }
}
