// What users of the simulated world need to name or to look into, so that `import BalsaSimulation` is all that they write.

@_exported import struct BalsaPlatform.Bytes
@_exported import protocol BalsaPlatform.File
@_exported import struct BalsaPlatform.FileError
@_exported import protocol BalsaPlatform.FileLock
@_exported import protocol BalsaPlatform.FileSystem
@_exported import enum BalsaPlatform.OpenMode
@_exported import struct BalsaRaft.TimeSpan
