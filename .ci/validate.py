"""Validates documents against a JSON Schema and names every place that does not fit."""

import json
import sys

from jsonschema.validators import validator_for


def main(schema_file: str, files: list[str]) -> int:
    with open(schema_file, encoding="utf-8") as file:
        schema = json.load(file)
    kind = validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema)
    wrong = 0
    for name in files:
        with open(name, encoding="utf-8") as file:
            document = json.load(file)
        for error in validator.iter_errors(document):
            wrong += 1
            print(f"{name}: {error.json_path}: {error.message}")
    # A schema that takes everything would prove nothing.
    if validator.is_valid({"connector": "2.0", "pipelin": {}}):
        wrong += 1
        print(f"{schema_file} takes an unknown field")
    print(f"{len(files)} documents, {wrong} findings")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
