"""The schema is the documented one: every field with its arguments, type and nullability."""

from __future__ import annotations

import pytest
from graphql import GraphQLInputObjectType, GraphQLObjectType, GraphQLSchema, print_ast

from kana_destination.sandbox.graphql_schema import schema_of

FIELDS = {
    "Query": {
        "feature(id: String!)": "Feature!",
        "features": "[Feature!]!",
        "user(id: String!)": "User!",
        "users": "[User!]!",
        "package(id: String!)": "Package!",
        "packages(status: PackageStatus)": "[Package!]!",
        "subscription(id: String!)": "PackageSubscription!",
        "subscriptions(userId: String, packageId: String)": "[PackageSubscription!]!",
        "canUseFeature(userId: String!, featureId: String!, delta: Int)": "CanUseFeatureData!",
        "showUsage(userId: String!, featureId: String!)": "ShowUsageData!",
    },
    "Mutation": {
        "createUser(input: CreateUserInput!)": "User!",
        "updateUser(id: String!, input: UpdateUserInput!)": "User!",
        "createFeature(input: CreateFeatureInput!)": "Feature!",
        "updateFeature(id: String!, input: UpdateFeatureInput!)": "Feature!",
        "createPackage(input: CreatePackageInput!)": "Package!",
        "updatePackage(id: String!, input: UpdatePackageInput!)": "Package!",
        "subscribe(packageIds: [String!]!, userId: String!)": "[PackageSubscription!]!",
        "recordUsage(input: CreateUsageEventInput!)": "RecordedUsage",
        "generateUserToken(userId: String!)": "GeneratedUserToken",
    },
    "User": {
        "id": "String!",
        "billingId": "String",
        "name": "String",
        "email": "String",
        "metadata": "JSON",
    },
    "RecordedUsage": {"recorded": "Boolean!", "reason": "String"},
    "Feature": {
        "id": "String!",
        "name": "String!",
        "type": "FeatureType!",
        "unitLabel": "String",
        "unitLabelPlural": "String",
        "metadata": "JSON",
        "packages": "[Package!]!",
        "entitlement(userId: String!)": "Entitlement",
    },
    "Entitlement": {"access": "Boolean!", "reason": "String!", "consumption": "Consumption"},
    "Consumption": {"used": "Int!", "budget": "Int", "overageEnabled": "Boolean!"},
    "ShowUsageData": {"current": "ConsumptionInPeriod", "past": "[ConsumptionInPeriod!]"},
    "ConsumptionInPeriod": {
        "periodStart": "DateTime!",
        "periodEnd": "DateTime!",
        "consumption": "Consumption!",
    },
    "PackageSubscription": {
        "id": "String!",
        "userId": "String!",
        "status": "SubscriptionStatus!",
        "package": "Package!",
    },
}

INPUTS = {
    "CreateUserInput": ["id: String!", "billingId: String", "name: String", "email: String",
                        "metadata: JSON"],
    "UpdateUserInput": ["id: String!", "name: String", "metadata: JSON"],
    "CreateUsageEventInput": ["userId: String!", "featureId: String!", "delta: Int = 1",
                              "action: RecordUsageAction = ADD"],
}  # fmt: skip

ENUMS = {
    "RecordUsageAction": ["ADD", "SET"],
    "FeatureType": ["BINARY", "CONSUMABLE"],
    "ResetPeriod": ["YEAR", "MONTH", "DAY"],
    "PackageStatus": ["DRAFT", "ARCHIVED", "PUBLISHED"],
    "SubscriptionStatus": ["ACTIVE", "TRIALING", "CANCELLED", "PAST_DUE", "UNPAID", "INCOMPLETE",
                           "INCOMPLETE_EXPIRED"],
}  # fmt: skip


@pytest.fixture
def schema() -> GraphQLSchema:
    """The schema as it is documented."""
    return schema_of("documented")


@pytest.mark.parametrize("name", FIELDS)
def test_types_have_the_documented_fields(schema: GraphQLSchema, name: str) -> None:
    """No field more or less, and each can be null exactly where the documentation says so."""
    type_ = schema.type_map[name]
    assert isinstance(type_, GraphQLObjectType)
    found = {}
    for field_name, field in type_.fields.items():
        arguments = ", ".join(f"{key}: {value.type}" for key, value in field.args.items())
        found[f"{field_name}({arguments})" if arguments else field_name] = str(field.type)
    assert found == FIELDS[name]


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_have_the_documented_fields(schema: GraphQLSchema, name: str) -> None:
    """With the documented defaults."""
    type_ = schema.type_map[name]
    assert isinstance(type_, GraphQLInputObjectType)
    assert type_.ast_node is not None
    found = []
    for field in type_.ast_node.fields or ():
        default = "" if field.default_value is None else f" = {print_ast(field.default_value)}"
        found.append(f"{field.name.value}: {type_.fields[field.name.value].type}{default}")
    assert found == INPUTS[name]


@pytest.mark.parametrize("name", ENUMS)
def test_enums_have_the_documented_values(schema: GraphQLSchema, name: str) -> None:
    """In their order."""
    assert list(schema.type_map[name].values) == ENUMS[name]  # type: ignore[attr-defined]


def test_every_field_has_a_resolver(schema: GraphQLSchema) -> None:
    """Nothing is left to be found out while a request is run."""
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            assert all(field.resolve for field in type_.fields.values()), type_.name


def test_schemas_are_built_once() -> None:
    """Both forms are kept, and differ in what an update takes only."""
    assert schema_of("current") is schema_of("current")
    current, documented = (schema_of(api).type_map for api in ("current", "documented"))
    assert set(current) == set(documented)
    update = current["UpdateUserInput"]
    assert isinstance(update, GraphQLInputObjectType)
    assert set(update.fields) == {"id", "name", "metadata", "email", "billingId"}
