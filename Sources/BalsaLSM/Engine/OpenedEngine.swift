import BalsaPlatform

/// The parts of an engine as they come from its directory.
struct OpenedEngine {
    let directory: String
    let fileSystem: any FileSystem
    let options: EngineOptions
    let engineID: UInt64
    let identities: RandomSource
    let lock: any FileLock
    let epochs: Epochs
    let cache: BlockCache
    let tables: TableCache
    let removals: FileRemovals
    let manifest: Manifest
    let state: ManifestState
    let version: Version
}
