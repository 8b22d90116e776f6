import BalsaLog
import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import Balsa

extension TwinFile {
    /// The record in the bytes of a file BOOT of which neither copy is damaged.
    static func boot(_ bytes: Bytes) throws -> BootRecord {
        try decode(bytes) { bytes throws(DecodingError) in try BootRecord(decoding: bytes) }.record
    }

    /// The record in the bytes of a file IDENTITY of which neither copy is damaged.
    static func identity(_ bytes: Bytes) throws -> Identity {
        try decode(bytes) { bytes throws(DecodingError) in try Identity(decoding: bytes) }.record
    }
}

extension FileBinding {
    /// What the latest opening of a member's directory binds its files to.
    static func latest(of disk: SimulatedDisk, in directory: String) throws -> FileBinding {
        let identity = try TwinFile.identity(Bytes(try XCTUnwrap(disk.contents(of: directory + "/IDENTITY"))))
        let boot = try TwinFile.boot(Bytes(try XCTUnwrap(disk.contents(of: directory + "/BOOT"))))
        return FileBinding(
            owner: FileOwner(
                cluster: try XCTUnwrap(identity.established?.id),
                incarnation: identity.incarnation
            ),
            mark: try XCTUnwrap(boot.marked),
            seed: 77
        )
    }
}
