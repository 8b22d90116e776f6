import Glibc

/// The process that holds a lock, as it writes itself into the file that it has locked: `4711 db-1`.
///
/// The text is for the sentence of a refusal. Nothing decides by it: the lock is the system's.
struct LockHolder: Equatable, CustomStringConvertible {
    /// More than the longest text.
    private static let maxBytes = 512

    let process: Int32
    let host: String

    /// This process.
    static var current: LockHolder {
        var name = [CChar](repeating: 0, count: 256)
        let isKnown = gethostname(&name, name.count - 1) == 0
        let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return LockHolder(process: getpid(), host: isKnown ? String(decoding: bytes, as: UTF8.self) : "unknown")
    }

    init(process: Int32, host: String) {
        self.process = process
        self.host = host
    }

    /// The process that a locked file names; nil where it names none, or one of this host that has ended.
    init?(ofLock path: String, in files: LinuxFileSystem) {
        let text: String
        do throws(FileError) {
            let file = try files.open(path, .read)
            defer { file.close() }
            text = String(try file.read(LockHolder.maxBytes, at: 0))
        } catch {
            // Somebody has removed it, or may not read it: then the sentence names nobody.
            return nil
        }
        let words = text.split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[1].hasSuffix("\n"), let process = Int32(words[0]), process > 0 else { return nil }
        self.init(process: process, host: String(words[1].dropLast()))
        // A holder that has crashed left its name to one that has not written its own yet.
        if host == LockHolder.current.host, kill(process, 0) != 0, errno == ESRCH { return nil }
    }

    /// Writes it into a file, whose lock is held. A full disk must not keep a store from being opened, so nothing is
    /// thrown: the sentence of a refusal then names nobody.
    func write(to descriptor: Int32) {
        guard ftruncate(descriptor, 0) == 0 else { return }
        var text = "\(process) \(host)\n"
        text.withUTF8 { _ = pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }

    /// The process in words.
    var description: String {
        self == LockHolder.current ? "this process, \(process)," : "process \(process) of host \(host)"
    }
}
