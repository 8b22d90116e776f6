import Balsa
import Foundation

// As `Docs/Store.md` has it.
extension StoreError: @retroactive LocalizedError {
    /// What the error says of itself, for `localizedDescription`.
    public var errorDescription: String? { description }
}

/// What Foundation says of an error whose type it does not know.
func localized(_ error: any Error) -> String { error.localizedDescription }
