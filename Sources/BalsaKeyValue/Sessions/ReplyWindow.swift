/// The replies of a session that its client may still ask for, by ascending number.
///
/// Requests mostly arrive in the order of their numbers, so a reply is mostly put at the end and forgotten at the front.
/// What was forgotten is kept in place until it is half of the whole, so that forgetting costs constant time a reply.
struct ReplyWindow {
    /// A reply with the number of its request.
    struct StoredReply: Equatable {
        var number: UInt64
        var reply: CommandReply
    }

    /// How many bytes a stored reply takes in an encoded state, by which its room is counted.
    static let replyByteCount = 26

    private var storage: [StoredReply] = []
    private var start = 0

    /// The replies.
    var replies: ArraySlice<StoredReply> { storage[start...] }

    var count: Int { storage.count - start }

    /// The reply to the request of that number; nil where there is none.
    func reply(to number: UInt64) -> CommandReply? {
        let place = firstPlace(atOrAbove: number)
        return place < storage.count && storage[place].number == number ? storage[place].reply : nil
    }

    /// Stores the reply to a request, in the place of one that it has.
    mutating func insert(_ reply: CommandReply, to number: UInt64) {
        let stored = StoredReply(number: number, reply: reply)
        guard let last = storage.last, start < storage.count, last.number >= number else {
            storage.append(stored)
            return
        }
        let place = firstPlace(atOrAbove: number)
        if storage[place].number == number {
            storage[place] = stored
        } else {
            storage.insert(stored, at: place)
        }
    }

    /// Forgets the replies to requests below `number`.
    ///
    /// - Returns: how many.
    mutating func forget(below number: UInt64) -> Int {
        let before = start
        while start < storage.count, storage[start].number < number { start += 1 }
        let forgotten = start - before
        if start > storage.count / 2 {
            storage.removeFirst(start)
            start = 0
        }
        return forgotten
    }

    private func firstPlace(atOrAbove number: UInt64) -> Int {
        var low = start
        var high = storage.count
        while low < high {
            let middle = low + (high - low) / 2
            if storage[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
