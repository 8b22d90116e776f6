import Balsa
import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// A caller: one operation at a time, tried at one member after another until somebody answers.
///
/// Its commands belong to a session, so that it can send one again, to any member, when it does not know what became of it.
struct SimulatedClient {
    /// An operation that was called and has not returned.
    struct Pending {
        /// Its place among all calls.
        var call: Int
        var question: CallLog.Question
        /// What it is in the history of registers: one operation for each register that it is about.
        var operations: [UInt64] = []
        /// When the client loses its patience.
        var deadline: TimeSpan
        /// The member that has the request, if one has accepted it.
        var acceptedBy: MemberID?
        /// Whether an attempt has ended without anybody knowing what became of it.
        var mayHaveHappened = false
    }

    let number: Int
    var random: RandomSource
    var pending: Pending?
    /// The session; nil where one has to be opened first.
    var session: SessionID?
    /// How far the numbers of the session may run ahead.
    var window: UInt64 = 1
    /// The revision of the options that the client was told last.
    var optionsRevision: UInt64 = 1
    /// The number of the last command of the session.
    var lastNumber: UInt64 = 0
    /// Counts the attempts of all operations; an answer to another than the last is not heard.
    var attempt: UInt64 = 0
    /// The member that answered last, or was said to lead.
    var leader: MemberID = 0
    /// How many values the client has written; each is written once.
    var writes: UInt64 = 0
    /// The highest index that the client was told of, which it may ask a later read to contain.
    var highestIndex: LogIndex = 0
    /// What the client read last, to be compared with.
    var lastRead: (key: Bytes, entry: KeyValueEntry?)?
    /// How many operations that were called since the calm have been answered.
    var answersSinceCalm = 0
    /// Whether the present operation was called since the calm.
    var isCallSinceCalm = false

    init(number: Int, random: RandomSource, answersOwed: Int) {
        self.number = number
        self.answersOwed = answersOwed
        self.random = random
    }

    /// How many answers the client is owed after the calm.
    private let answersOwed: Int

    /// Whether the client has got what it is owed after the calm.
    var hasSettled: Bool { answersSinceCalm >= answersOwed && pending == nil }
}
