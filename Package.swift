// swift-tools-version: 6.2

import PackageDescription

/// Settings of every Swift target. No unsafe flags: a package that uses them cannot be depended on.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// The module that stores spans in its own types needs the supported-experimental lifetime annotations; its users do not.
let lifetimes: [SwiftSetting] = settings + [.enableExperimentalFeature("Lifetimes")]

let package = Package(
    name: "balsa",
    products: [
        .library(name: "Balsa", targets: ["Balsa"]),
        .library(name: "BalsaLSM", targets: ["BalsaLSM"]),
        .library(name: "BalsaSimulation", targets: ["BalsaSimulation"]),
        .executable(name: "balsa", targets: ["BalsaCommand"]),
        .executable(name: "balsa-bench", targets: ["BalsaBench"]),
    ],
    targets: [
        // The rooms of Docs/Architecture.md, bottom to top. A module imports what its `dependencies` list and nothing
        // else; ArchitectureTests holds the import lines against this list.
        .target(name: "CBalsaPlatform", cSettings: [.define("_GNU_SOURCE")]),
        .target(name: "BalsaPlatform", dependencies: ["CBalsaPlatform"], swiftSettings: lifetimes),
        .target(name: "BalsaRaft", swiftSettings: settings),
        .target(name: "BalsaWire", dependencies: ["BalsaPlatform", "BalsaRaft"], swiftSettings: settings),
        .target(name: "BalsaLog", dependencies: ["BalsaPlatform", "BalsaRaft", "BalsaWire"], swiftSettings: settings),
        .target(
            name: "BalsaTransport",
            dependencies: ["CBalsaPlatform", "BalsaPlatform", "BalsaRaft", "BalsaWire"],
            swiftSettings: settings
        ),
        .target(name: "BalsaLSM", dependencies: ["CBalsaPlatform", "BalsaPlatform"], swiftSettings: settings),
        .target(name: "BalsaKeyValue", dependencies: ["BalsaPlatform", "BalsaLSM"], swiftSettings: settings),
        .target(
            name: "Balsa",
            dependencies: [
                "BalsaPlatform", "BalsaRaft", "BalsaWire", "BalsaLog", "BalsaLSM", "BalsaKeyValue", "BalsaTransport",
            ],
            swiftSettings: settings
        ),
        .target(
            name: "BalsaSimulation",
            dependencies: [
                "BalsaPlatform", "BalsaRaft", "BalsaWire", "BalsaLog", "BalsaLSM", "BalsaKeyValue", "Balsa",
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "BalsaCommand",
            dependencies: [
                "BalsaPlatform", "BalsaRaft", "BalsaKeyValue", "BalsaTransport", "Balsa", "BalsaSimulation",
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "BalsaBench",
            dependencies: [
                "BalsaPlatform", "BalsaRaft", "BalsaWire", "BalsaLog", "BalsaLSM", "BalsaKeyValue", "Balsa",
            ],
            path: "Benchmarks",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "BalsaRaces",
            dependencies: ["BalsaPlatform", "BalsaRaft", "BalsaLSM", "BalsaKeyValue", "Balsa"],
            path: "Tests/BalsaRaces",
            swiftSettings: settings
        ),

        .testTarget(
            name: "BalsaPlatformTests",
            dependencies: ["BalsaPlatform", "CBalsaPlatform"],
            swiftSettings: settings
        ),
        .testTarget(name: "BalsaRaftTests", dependencies: ["BalsaRaft"], swiftSettings: settings),
        .testTarget(
            name: "BalsaWireTests",
            dependencies: ["BalsaWire", "BalsaPlatform", "BalsaRaft"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "BalsaLogTests",
            dependencies: ["BalsaLog", "BalsaWire", "BalsaPlatform", "BalsaRaft", "BalsaSimulation"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "BalsaLSMTests",
            dependencies: ["BalsaLSM", "CBalsaPlatform", "BalsaPlatform", "BalsaSimulation"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "BalsaKeyValueTests",
            dependencies: ["BalsaKeyValue", "BalsaLSM", "BalsaPlatform", "BalsaSimulation"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "BalsaTransportTests",
            dependencies: ["BalsaTransport", "CBalsaPlatform", "BalsaWire", "BalsaPlatform", "BalsaRaft"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "BalsaTests",
            dependencies: [
                "Balsa", "BalsaTransport", "BalsaKeyValue", "BalsaLSM", "BalsaLog", "BalsaWire", "BalsaPlatform",
                "BalsaRaft", "BalsaSimulation",
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "BalsaSimulationTests",
            dependencies: [
                "BalsaSimulation", "Balsa", "BalsaKeyValue", "BalsaLSM", "BalsaLog", "BalsaWire", "BalsaPlatform",
                "BalsaRaft",
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "BalsaCommandTests",
            dependencies: ["BalsaCommand", "BalsaPlatform", "BalsaSimulation"],
            swiftSettings: settings
        ),
        // Runs the benchmark's executable, and needs it built for that.
        .testTarget(
            name: "BalsaBenchTests",
            dependencies: ["BalsaBench", "BalsaPlatform", "BalsaRaft", "BalsaLSM", "BalsaKeyValue", "Balsa"],
            swiftSettings: settings
        ),
        // Runs the command's executable, and needs it built for that.
        .testTarget(
            name: "BalsaProcessTests",
            dependencies: [
                "BalsaCommand", "Balsa", "BalsaTransport", "BalsaKeyValue", "BalsaLSM", "BalsaLog", "BalsaPlatform",
                "BalsaRaft",
            ],
            swiftSettings: settings
        ),
    ],
    swiftLanguageModes: [.v6]
)
