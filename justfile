# Sugar: every recipe is one command that can be typed as it stands.

default:
    @just --list

# A whole recovery on this machine.
drill *arguments:
    cargo drill {{ arguments }}

# Everything that CI checks.
check:
    .ci/run

test:
    cargo test --workspace

# Regenerate schemas and the README's state graph.
update:
    UPDATE=1 cargo test -p contracts

deny:
    cargo deny check

# Release binaries for AWS (arm64, through cargo-lambda), one folder per function.
build:
    cargo lambda build --release --arm64 --workspace --exclude blackstart --lambda-dir target/lambda

# Sizes of the release binaries.
size:
    ls -l --block-size=K target/lambda/*/bootstrap

deploy *arguments:
    sam deploy --template-file template.yaml --stack-name blackstart --resolve-s3 --capabilities CAPABILITY_NAMED_IAM {{ arguments }}
