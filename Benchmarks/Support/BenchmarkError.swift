import BalsaLSM
import BalsaPlatform

/// Why a run ended without a result.
struct BenchmarkError: Error, Equatable, CustomStringConvertible {
    /// The reason in one line.
    let description: String

    init(_ description: String) { self.description = description }

    init(_ error: EngineError) { description = "\(error)" }

    init(_ error: FileError) { description = "\(error)" }
}

/// Calls `body` with its engine's errors turned into reasons to end the run.
@inline(__always)
func measured<Result>(_ body: () throws(EngineError) -> Result) throws(BenchmarkError) -> Result {
    do throws(EngineError) { return try body() } catch { throw BenchmarkError(error) }
}
