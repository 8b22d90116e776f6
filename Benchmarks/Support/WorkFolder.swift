import BalsaPlatform
import Glibc

/// A folder of this run's own, below one that exists. Only what the run itself has made is ever removed.
struct WorkFolder {
    let path: String
    private let files = LinuxFileSystem()

    /// Makes a folder below `parent`.
    init(below parent: String) throws(BenchmarkError) {
        path = "\(parent)/balsa-bench.\(getpid())"
        guard mkdir(path, 0o700) == 0 else {
            throw BenchmarkError("the folder \(path) cannot be made: \(String(cString: strerror(errno)))")
        }
    }

    private init(_ path: String) { self.path = path }

    /// Makes a folder in this one.
    func makeFolder(_ name: String) throws(BenchmarkError) -> WorkFolder {
        let path = "\(path)/\(name)"
        guard mkdir(path, 0o700) == 0 else {
            throw BenchmarkError("the folder \(path) cannot be made: \(String(cString: strerror(errno)))")
        }
        return WorkFolder(path)
    }

    /// Removes a folder of files, if it is there.
    func remove(_ name: String) throws(BenchmarkError) { try removeAll(path + "/" + name) }

    /// Removes everything.
    func remove() throws(BenchmarkError) { try removeAll(path) }

    private func removeAll(_ folder: String) throws(BenchmarkError) {
        do throws(FileError) {
            guard try files.exists(folder) else { return }
            try removeTree(folder)
        } catch { throw BenchmarkError(error) }
    }

    private func removeTree(_ folder: String) throws(FileError) {
        for name in try files.list(folder) {
            var status = stat()
            let path = folder + "/" + name
            if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
                try removeTree(path)
            } else {
                try files.remove(path)
            }
        }
        try files.remove(folder)
    }

    /// How much of the disk the tables of all engines below this folder take, in bytes.
    func tableBytes() throws(BenchmarkError) -> Int {
        do throws(FileError) { return try WorkFolder.tableBytes(below: path, files) } catch {
            throw BenchmarkError(error)
        }
    }

    private static func tableBytes(below folder: String, _ files: LinuxFileSystem) throws(FileError) -> Int {
        var bytes = 0
        for name in try files.list(folder) {
            var status = stat()
            let path = folder + "/" + name
            guard lstat(path, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                bytes += try tableBytes(below: path, files)
            } else if name.hasPrefix("table-") {
                bytes += Int(status.st_blocks) * 512
            }
        }
        return bytes
    }

    /// How much of the disk the files of a folder take, in MiB, rounded up as `du` does.
    func mebibytes(of name: String) throws(BenchmarkError) -> Int {
        let folder = path + "/" + name
        do throws(FileError) {
            var blocks = 0
            for name in try files.list(folder) {
                var status = stat()
                // What background work has removed in the meantime takes nothing.
                if lstat(folder + "/" + name, &status) == 0 { blocks += Int(status.st_blocks) }
            }
            return (blocks * 512 + (1 << 20) - 1) >> 20
        } catch { throw BenchmarkError(error) }
    }
}
