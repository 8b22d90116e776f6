import BalsaPlatform
import BalsaSimulation

/// Fails one kind of call on BOOT, or on its directory, while it is on.
final class FailingNote: DiskHook {
    var isOn = false
    private let operation: FileError.Operation
    private let number: FileError.Number

    init(_ operation: FileError.Operation, _ number: FileError.Number) {
        self.operation = operation
        self.number = number
    }

    func answer(_ call: DiskCall) -> DiskAnswer {
        let isOfNote = call.path.hasSuffix("/BOOT.new") || call.operation == .syncDirectory
        return isOn && isOfNote && call.operation == operation ? .fail(number) : .proceed
    }
}
