import Balsa
import XCTest

@testable import BalsaCommand

/// The command line of `balsa member`: what is read from it, and the sentence with which it is refused.
final class MemberArgumentsTests: XCTestCase {
    private let complete = ["--directory", "/data", "--member", "2", "--peers", "1=a:7001,2=b:7002"]

    private func refusal(_ arguments: [String], line: UInt = #line) -> String? {
        do throws(MemberCommand.Failure) {
            let parsed = try MemberCommand.parse(arguments)
            XCTFail("\(parsed) was accepted", line: line)
            return nil
        } catch {
            return error.line
        }
    }

    func testParse_completeLine_isRead() throws {
        var expected = MemberCommand.Arguments()
        expected.directory = "/data"
        expected.member = 2
        expected.peers = [1: "a:7001", 2: "b:7002"]
        XCTAssertEqual(try MemberCommand.parse(complete), expected)
        expected.listen = "0.0.0.0:7002"
        expected.security = .insecureNetwork
        XCTAssertEqual(
            try MemberCommand.parse(["--insecure-network", "--listen", "0.0.0.0:7002"] + complete),
            expected
        )
        expected.mustExist = true
        XCTAssertEqual(
            try MemberCommand.parse(["--insecure-network", "--listen", "0.0.0.0:7002", "--must-exist"] + complete),
            expected
        )
    }

    func testParse_addressWithAnEqualsSign_isReadWhole() throws {
        let arguments = ["--directory", "/data", "--member", "1", "--peers", "1=a=b:7001"]
        XCTAssertEqual(try MemberCommand.parse(arguments).peers, [1: "a=b:7001"])
    }

    func testParse_missingOption_isNamed() {
        for (index, option) in [(0, "--directory"), (2, "--member"), (4, "--peers")] {
            var arguments = complete
            arguments.removeSubrange(index...index + 1)
            XCTAssertEqual(refusal(arguments), "\(option) is needed")
        }
        XCTAssertEqual(refusal([]), "--directory is needed")
        XCTAssertEqual(refusal(["--directory", "", "--member", "1", "--peers", "1=a:1"]), "--directory is needed")
        XCTAssertEqual(
            refusal(["--directory", "d", "--member", "1", "--peers", ""]),
            "--peers is a list such as 1=host:port,2=host:port, not ''"
        )
    }

    func testParse_optionWithoutValue_isNamed() {
        for option in ["--directory", "--member", "--peers", "--listen"] {
            XCTAssertEqual(refusal(complete + [option]), "\(option) needs a value")
        }
    }

    func testParse_optionThatIsGivenTwice_isRefused() {
        for option in [["--directory", "d"], ["--member", "1"], ["--peers", "1=a:1"]] {
            XCTAssertEqual(refusal(complete + option), "\(option[0]) is given twice")
        }
        for option in [["--listen", "a:1"], ["--insecure-network"], ["--must-exist"]] {
            XCTAssertEqual(refusal(complete + option + option), "\(option[0]) is given twice")
        }
    }

    func testParse_unknownArgument_isNamedWhateverFollowsIt() {
        XCTAssertEqual(refusal(complete + ["--port"]), "unknown argument '--port'; --help lists the arguments")
        XCTAssertEqual(refusal(["--port", "7001"] + complete), "unknown argument '--port'; --help lists the arguments")
        XCTAssertEqual(refusal(["store"] + complete), "unknown argument 'store'; --help lists the arguments")
    }

    func testParse_memberThatIsNoNumberFromOne_isRefusedWithTheValue() {
        for value in ["0", "-1", "one", "1.5", "", "18446744073709551616"] {
            XCTAssertEqual(
                refusal(["--directory", "d", "--peers", "1=a:1", "--member", value]),
                "--member is a number from 1, not '\(value)'"
            )
        }
    }

    func testParse_peersThatAreNoList_areRefusedWithTheValue() {
        for value in ["a:7001", "1", "1=", "=a:7001", "0=a:7001", "x=a:7001", "1=a:7001,b:7002"] {
            XCTAssertEqual(
                refusal(["--directory", "d", "--member", "1", "--peers", value]),
                "--peers is a list such as 1=host:port,2=host:port, not '\(value)'"
            )
        }
        XCTAssertEqual(
            refusal(["--directory", "d", "--member", "1", "--peers", "1=a:7001,1=b:7002"]),
            "--peers names member 1 twice"
        )
    }
}
