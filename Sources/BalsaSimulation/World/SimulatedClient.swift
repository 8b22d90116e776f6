import BalsaPlatform
import BalsaRaft

/// A caller: one operation at a time, tried at one member after another until somebody answers.
struct SimulatedClient {
    /// An operation that was called and has not returned.
    struct Pending {
        /// Its number in the history.
        var operation: UInt64
        var key: Bytes
        var input: RegisterModel.Input
        /// When the client loses its patience.
        var deadline: TimeSpan
        /// The member that has the request, if one has accepted it.
        var acceptedBy: MemberID?
    }

    let number: Int
    var random: RandomSource
    var pending: Pending?
    /// Counts the attempts of all operations; an answer to another than the last is not heard.
    var attempt: UInt64 = 0
    /// The last attempt that a replica has replied to; each is replied to once.
    var repliedAttempt: UInt64 = .max
    /// The member that answered last, or was said to lead.
    var leader: MemberID = 0
    /// How many values the client has written; each is written once.
    var writes: UInt64 = 0
    /// What the client read last, to be compared with.
    var lastRead: (key: Bytes, value: Bytes?)?
    /// How many operations that were called since the calm have been answered.
    var answersSinceCalm = 0
    /// Whether the present operation was called since the calm.
    var isCallSinceCalm = false

    init(number: Int, random: RandomSource) {
        self.number = number
        self.random = random
    }

    /// Whether the client has got what it is owed after the calm.
    var hasSettled: Bool { answersSinceCalm >= 2 && pending == nil }
}
