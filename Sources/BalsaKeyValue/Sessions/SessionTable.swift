import BalsaPlatform

/// The open sessions of a store: who they are, when they were last used, and the replies they may still ask for.
///
/// It is part of the replicated state, so all it does follows from the entries of the log: a session is used by an entry
/// with its index and stamp, rests by the stamps of later entries, and gives way to others by the order of its last use.
///
/// The sessions stand in slots, which a list links from the least recently used to the most recently used. Since stamps never
/// fall along the log, the list is also in the order of the stamps: what has rested too long stands at its front.
struct SessionTable {
    /// A session.
    struct Session {
        /// The index of the entry that opened it.
        var id: UInt64
        /// The index and the stamp of the entry that used it last.
        var lastIndex: UInt64
        var lastStamp: UInt64
        /// The lowest number whose reply the client still waits for.
        var lowest: UInt64 = 0
        /// How far the numbers may run ahead of the lowest outstanding one: what the options said when it was opened.
        var window: UInt64
        var replies = ReplyWindow()
    }

    /// What is to be done with a request.
    enum Admission: Equatable {
        /// It is new.
        case execute
        /// It was executed before, with this reply.
        case repeated(CommandReply)
        /// It is not to be executed.
        case refused(CommandReply.Outcome)
    }

    private struct Slot {
        var session: Session
        var previous: Int
        var next: Int
    }

    private static let none = -1

    /// The widest window that any options can allow.
    static let largestWindow = 1 << 20

    private var maxSessions: Int
    /// That of sessions that are opened from now on.
    private(set) var window: UInt64
    private var idle: UInt64
    private var maxReplies: Int

    private var slots: [Slot] = []
    private var freeSlots: [Int] = []
    private var places = LookupTable<UInt64, Int>()
    private var leastRecent = none
    private var mostRecent = none

    /// How many replies are stored, in all sessions.
    private(set) var replyCount = 0

    init(options: ReplicatedOptions) {
        maxSessions = options.maxSessions
        window = UInt64(options.sessionWindow)
        idle = options.sessionIdleNanoseconds
        maxReplies = options.maxReplyBytes / ReplyWindow.replyByteCount
    }

    /// Puts other options in force. Sessions end that they have no room for: those whose own window could hold more
    /// replies than all may, then the least recently used.
    ///
    /// A session that has been idle too long by the new options ends with the next entry.
    mutating func change(_ options: ReplicatedOptions) {
        maxSessions = options.maxSessions
        window = UInt64(options.sessionWindow)
        idle = options.sessionIdleNanoseconds
        maxReplies = options.maxReplyBytes / ReplyWindow.replyByteCount
        var place = leastRecent
        while place != SessionTable.none {
            let next = slots[place].next
            if slots[place].session.window > UInt64(maxReplies) { remove(place) }
            place = next
        }
        while count > maxSessions || replyCount > maxReplies { remove(leastRecent) }
    }

    /// How many sessions are open.
    var count: Int { places.count }

    /// Opens a session at the entry of that index and stamp, and ends the least recently used one where there are too many.
    mutating func open(index: UInt64, stamp: UInt64) {
        if count >= maxSessions { remove(leastRecent) }
        insert(Session(id: index, lastIndex: index, lastStamp: stamp, window: window))
    }

    /// Ends a session.
    ///
    /// - Returns: whether it was open.
    mutating func close(_ id: SessionID) -> Bool {
        guard let place = places[id.rawValue] else { return false }
        remove(place)
        return true
    }

    /// Ends the sessions that have rested too long at the time `stamp`.
    mutating func expire(at stamp: UInt64) {
        while leastRecent != SessionTable.none {
            let used = slots[leastRecent].session.lastStamp
            guard stamp > used, stamp - used > idle else { return }
            remove(leastRecent)
        }
    }

    /// Decides what is to be done with a request, whose session is used by it at the entry of that index and stamp.
    ///
    /// - Parameter lowest: the lowest number whose reply the client still waits for. It never falls: a late copy of an old
    ///   request says what was true when it was sent.
    mutating func admit(_ identity: RequestIdentity, lowest: UInt64, index: UInt64, stamp: UInt64) -> Admission {
        guard let place = places[identity.session.rawValue] else { return .refused(.sessionExpired) }
        use(place, index: index, stamp: stamp)
        // Decided by what the request itself says, so that every copy of it is refused alike: one that were refused now and
        // executed later would contradict what its caller was told.
        guard identity.number - min(lowest, identity.number) < slots[place].session.window else {
            return .refused(.windowExceeded)
        }
        if lowest > slots[place].session.lowest {
            slots[place].session.lowest = lowest
            replyCount -= slots[place].session.replies.forget(below: lowest)
        }
        let lowest = slots[place].session.lowest
        guard identity.number >= lowest else { return .refused(.requestTooOld) }
        if let reply = slots[place].session.replies.reply(to: identity.number) { return .repeated(reply) }
        return .execute
    }

    /// Stores the reply to a request that was admitted and executed, and ends the least recently used sessions while the
    /// replies take too much room.
    mutating func store(_ reply: CommandReply, to identity: RequestIdentity) {
        guard let place = places[identity.session.rawValue] else { return }
        let before = slots[place].session.replies.count
        slots[place].session.replies.insert(reply, to: identity.number)
        replyCount += slots[place].session.replies.count - before
        while replyCount > maxReplies, leastRecent != place { remove(leastRecent) }
    }

    /// Calls `body` with every session, the least recently used first.
    func visit<Failure: Error>(_ body: (Session) throws(Failure) -> Void) throws(Failure) {
        var place = leastRecent
        while place != SessionTable.none {
            try body(slots[place].session)
            place = slots[place].next
        }
    }

    /// Puts a session behind all others, as a decoder does.
    mutating func insert(_ session: Session) {
        let place: Int
        let slot = Slot(session: session, previous: mostRecent, next: SessionTable.none)
        if let free = freeSlots.popLast() {
            place = free
            slots[place] = slot
        } else {
            place = slots.count
            slots.append(slot)
        }
        linkLast(place)
        places[session.id] = place
        replyCount += session.replies.count
    }

    /// Whether the reply to a request is stored, so that a copy of it is answered with that.
    func hasReply(to identity: RequestIdentity) -> Bool {
        guard let place = places[identity.session.rawValue] else { return false }
        return slots[place].session.replies.reply(to: identity.number) != nil
    }

    /// Whether a session of that name is open.
    func contains(_ id: UInt64) -> Bool { places.contains(id) }

    private mutating func use(_ place: Int, index: UInt64, stamp: UInt64) {
        slots[place].session.lastIndex = index
        slots[place].session.lastStamp = stamp
        guard place != mostRecent else { return }
        unlink(place)
        slots[place].previous = mostRecent
        slots[place].next = SessionTable.none
        linkLast(place)
    }

    private mutating func remove(_ place: Int) {
        let session = slots[place].session
        unlink(place)
        places.remove(session.id)
        replyCount -= session.replies.count
        // The replies' memory goes now, and not when the slot is used again.
        slots[place].session.replies = ReplyWindow()
        freeSlots.append(place)
    }

    private mutating func linkLast(_ place: Int) {
        if mostRecent == SessionTable.none { leastRecent = place } else { slots[mostRecent].next = place }
        mostRecent = place
    }

    private mutating func unlink(_ place: Int) {
        let slot = slots[place]
        if slot.previous == SessionTable.none { leastRecent = slot.next } else { slots[slot.previous].next = slot.next }
        if slot.next == SessionTable.none {
            mostRecent = slot.previous
        } else {
            slots[slot.next].previous = slot.previous
        }
    }
}
