import BalsaPlatform

/// The files that a command writes because an option names them.
///
/// Nothing is ever removed for them: a path may name a device, a pipe or a directory.
enum OutputFile {
    /// Opens a file to be written from its beginning: a new one, or a regular file, which loses what it held.
    static func open(_ path: String, _ files: any FileSystem) throws(FileError) -> any File {
        guard try files.exists(path) else { return try files.open(path, .create) }
        let file = try files.open(path, .readWrite)
        do throws(FileError) {
            try file.setSize(0)
        } catch {
            file.close()
            throw error
        }
        return file
    }

    /// Refuses a path that exists and is not a regular file that can be written. Changes nothing.
    static func check(_ path: String, _ files: any FileSystem) throws {
        guard try files.exists(path) else { return }
        do throws(FileError) {
            try files.open(path, .readWrite).close()
        } catch {
            throw SimulateArguments.Failure(
                line: "\(path) exists and is not a regular file that can be written; name another file (\(error))"
            )
        }
    }
}
