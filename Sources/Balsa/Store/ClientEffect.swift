import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// What a ``ClientSession`` wants done.
enum ClientEffect {
    /// Hand this to the replica.
    case submit(Submission)
    /// Tell the caller.
    case complete(CallID, Result<CommandReply, RequestError>)
    /// A command that is completed with the next effect took long: this is how it went.
    case slow(CommandTrace)
    /// Call ``ClientSession/timer(at:into:)`` at this moment. It replaces the one asked for before.
    case wake(at: Instant)
}

/// How a command went.
struct CommandTrace: Equatable {
    /// How long it took in all.
    var took: TimeSpan
    /// How long it waited until it was handed to the replica for the first time.
    var waited: TimeSpan
    /// How often it was.
    var attempts: Int
    /// Why the last attempt but the one that was answered had no result, if there were several.
    var refusal: RequestError.Reason?
}
