import BalsaPlatform
import BalsaSimulation

extension SimulatedDisk {
    /// Everything on the disk in one line, as `directory/file=text`, sorted; zero bytes as `0`.
    func text() throws -> String {
        try DiskText.lines(in: "", files: mount()).joined(separator: " ")
    }
}

extension DiskImage {
    /// Everything on such a disk in one line.
    func text() throws -> String { try SimulatedDisk(self).text() }
}

private enum DiskText {
    static func lines(in directory: String, files: SimulatedFileSystem) throws -> [String] {
        var lines: [String] = []
        for name in try files.list("/\(directory)") {
            let path = directory + name
            if let bytes = files.contents(of: path) {
                lines.append("\(path)=\(String(decoding: bytes.map { $0 == 0 ? 48 : $0 }, as: UTF8.self))")
            } else {
                lines += ["\(path)/"] + (try self.lines(in: "\(path)/", files: files))
            }
        }
        return lines
    }
}

extension SimulatedFileSystem {
    /// The bytes of a file; nil for a directory.
    fileprivate func contents(of path: String) -> [UInt8]? {
        do {
            return [UInt8](try open(path, .read).read(1 << 20, at: 0))
        } catch {
            return nil
        }
    }

    /// Creates a file that holds `text`.
    @discardableResult
    func make(_ path: String, _ text: Bytes) throws -> any File {
        let file = try open(path, .create)
        try file.write(text, at: 0)
        return file
    }

    /// Creates a file that holds `text`, all durable.
    @discardableResult
    func makeDurable(_ path: String, _ text: Bytes) throws -> any File {
        let file = try make(path, text)
        try file.sync()
        try syncDirectory("/")
        return file
    }
}
