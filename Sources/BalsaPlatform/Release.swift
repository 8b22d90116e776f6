/// The release of this package that is running.
package enum Release {
    /// The version. Before the first release it names the release that is being worked on, with `-dev`.
    package static let version = "0.1.0-dev"
}
