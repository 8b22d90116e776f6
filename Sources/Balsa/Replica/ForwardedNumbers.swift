import BalsaRaft

/// Which of the numbers, under which members passed commands on, a leader has handled in its term.
///
/// A frame may arrive more than once. Were one copy refused and another taken, a caller that was told *not applied*
/// would find its command applied. So the first copy decides, and all others are dropped. A follower counts upwards
/// from a random number that is another one in each of its incarnations; for each of them a window over its newest
/// numbers is kept:
///
/// ```
///  dropped │ newest - 1023 …  a bit a number: handled or not … newest │ handled, and the window moves
/// ```
///
/// Invariant: every number of the term that was handled is in a window with its bit set, or below one. What is below a
/// window is dropped although it may be the first copy: its caller is told at its deadline that nothing is known.
struct ForwardedNumbers {
    /// How many numbers a window covers: many more than overtake each other in any network.
    static let windowCount: UInt64 = 1_024
    /// Numbers that are further apart than this are of two incarnations.
    private static let reach: UInt64 = 1 << 32
    /// How many incarnations are remembered in a term; the oldest is forgotten for one more.
    private static let maxWindows = 64

    private struct Window {
        let peer: MemberID
        var newest: UInt64
        /// A bit a number, at the number modulo ``windowCount``.
        var bits = [UInt64](repeating: 0, count: Int(ForwardedNumbers.windowCount / 64))

        /// Sets the bit of a number; false where it was set.
        mutating func set(_ number: UInt64) -> Bool {
            let place = Int(number % ForwardedNumbers.windowCount)
            let bit: UInt64 = 1 << UInt64(place % 64)
            defer { bits[place / 64] |= bit }
            return bits[place / 64] & bit == 0
        }

        /// Moves the window up, so that `number` is the newest.
        mutating func move(to number: UInt64) {
            let distance = number - newest
            newest = number
            guard distance < ForwardedNumbers.windowCount else {
                for place in bits.indices { bits[place] = 0 }
                return
            }
            for passed in 0..<distance {
                let place = Int((number - passed) % ForwardedNumbers.windowCount)
                bits[place / 64] &= ~(1 << UInt64(place % 64))
            }
        }
    }

    private var term: Term = 0
    private var windows: [Window] = []

    /// Notes that a leader handles a number now.
    ///
    /// - Parameters:
    ///   - number: the number.
    ///   - peer: who has passed the command on.
    ///   - leaderTerm: the term that this member leads, and that the frame names. With a later one everything is
    ///     forgotten: nothing that names an earlier term is handled any more.
    /// - Returns: whether it was not handled before.
    mutating func isFirst(_ number: UInt64, from peer: MemberID, in leaderTerm: Term) -> Bool {
        if leaderTerm != term {
            term = leaderTerm
            windows.removeAll()
        }
        let known = windows.firstIndex { window in
            let distance = max(number, window.newest) - min(number, window.newest)
            return window.peer == peer && distance < ForwardedNumbers.reach
        }
        guard let known else {
            if windows.count == ForwardedNumbers.maxWindows { windows.removeFirst() }
            var window = Window(peer: peer, newest: number)
            _ = window.set(number)
            windows.append(window)
            return true
        }
        if number > windows[known].newest { windows[known].move(to: number) }
        guard windows[known].newest - number < ForwardedNumbers.windowCount else { return false }
        return windows[known].set(number)
    }
}
