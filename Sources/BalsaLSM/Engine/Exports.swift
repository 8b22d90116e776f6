// What users of an engine need to name or to look into, so that `import BalsaLSM` is all that they write. Type by type and not
// by module: a program that imports the engine should not find the names of its parts among its own.

@_exported import class BalsaPlatform.BackgroundThread
@_exported import struct BalsaPlatform.Bytes
@_exported import protocol BalsaPlatform.File
@_exported import struct BalsaPlatform.FileError
@_exported import protocol BalsaPlatform.FileLock
@_exported import protocol BalsaPlatform.FileSystem
@_exported import class BalsaPlatform.LinuxFileSystem
@_exported import enum BalsaPlatform.OpenMode
