import BalsaPlatform

/// The entries in a row that a cursor does not show, from the last key that it showed or from its seek.
struct HiddenRun {
    /// How many there are, what a jump leaves counted as one.
    var count = 0
    /// At which count the cursor looks for an empty range.
    var nextLook = Int.max
    /// Whether the run begins at the bound of the cursor.
    private(set) var isAtBound = false
    /// Where the range without values begins that the run leaves behind; backward, where it ends. Nil before the first
    /// look.
    var edge: Bytes?

    /// Begins with the next entry.
    mutating func begin(atBound: Bool, nextLook: Int) {
        count = 0
        self.nextLook = nextLook
        isAtBound = atBound
        edge = nil
    }
}
