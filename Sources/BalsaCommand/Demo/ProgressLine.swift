import BalsaPlatform
import Foundation

/// A bar that is drawn over itself on a terminal, and a line now and then elsewhere.
final class ProgressLine: @unchecked Sendable {
    private static let output = Locked(false)
    private static let isTerminal = isatty(1) == 1

    private let total: Int
    private let title: String
    private let state = Locked((done: 0, shown: -1))

    init(_ title: String, total: Int) {
        self.title = title
        self.total = max(1, total)
    }

    /// Notes that `count` more are done.
    func advance(_ count: Int = 1) {
        let step = ProgressLine.isTerminal ? 200 : 10
        let shown = state.withLock { state -> Int? in
            state.done += count
            let now = state.done * step / total
            guard now > state.shown else { return nil }
            state.shown = now
            return state.done
        }
        if let shown { draw(shown) }
    }

    private func draw(_ done: Int) {
        let percent = done * 100 / total
        guard ProgressLine.isTerminal else {
            printLine("\(title): \(percent) % (\(done) of \(total))")
            return
        }
        let width = 40
        let filled = done * width / total
        ProgressLine.output.withLock { isDrawn in
            let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
            print("\r\(title) [\(bar)] \(percent) %", terminator: done >= total ? "\n" : "")
            fflush(nil)
            isDrawn = done < total
        }
    }

    /// Prints a line above the bar.
    static func note(_ line: String) {
        output.withLock { isDrawn in
            printLine((isDrawn ? "\r\u{1b}[K" : "") + line)
            isDrawn = false
        }
    }
}
