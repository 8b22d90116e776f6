// swift-tools-version: 6.2

import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// A package of somebody who embeds a store, one of somebody who uses the engine alone, and one of somebody who uses the
/// simulated world. `run` builds it in a folder of its own, with the program of the README as `main.swift` of the first.
let package = Package(
    name: "consumer",
    dependencies: [.package(name: "balsa", path: Context.environment["BALSA_PACKAGE"] ?? "../..")],
    targets: [
        .executableTarget(
            name: "Consumer",
            dependencies: [.product(name: "Balsa", package: "balsa")],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "EngineConsumer",
            dependencies: [.product(name: "BalsaLSM", package: "balsa")],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "SimulationConsumer",
            dependencies: [.product(name: "BalsaSimulation", package: "balsa")],
            swiftSettings: settings
        ),
    ],
    swiftLanguageModes: [.v6]
)
