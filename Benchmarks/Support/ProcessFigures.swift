import Glibc

/// What the kernel counts for this process.
enum ProcessFigures {
    /// How many bytes this process has caused to be written to disks; nil where the kernel does not say.
    static var writtenBytes: Int? { figure("write_bytes:", of: "/proc/self/io") }

    /// How many bytes this process has given to calls that write; nil where the kernel does not say. Of large pages the
    /// kernel counts all of one as caused to be written, also where a file system writes a sector of it.
    static var givenBytes: Int? { figure("wchar:", of: "/proc/self/io") }

    /// The most memory that was resident at once, in MiB; nil where the kernel does not say.
    static var residentMebibytes: Int? { figure("VmHWM:", of: "/proc/self/status").map { $0 / 1_024 } }

    private static func figure(_ name: String, of path: String) -> Int? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let bytes = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            let text = String(decoding: bytes, as: UTF8.self)
            guard text.hasPrefix(name) else { continue }
            let words = text.dropFirst(name.count).split { $0 == " " || $0 == "\t" || $0 == "\n" }
            return words.first.flatMap { Int($0) }
        }
        return nil
    }
}
