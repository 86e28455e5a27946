"""What an S3 service or boto3 refused, in the farm's words: what to do about it, and never a secret.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from farm.errors import FarmError, StoreError, UnavailableError

_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_PASSING = frozenset(
    {
        "ConditionalRequestConflict",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    }
)
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile (AWS_PROFILE)"
_WRONG_CREDENTIALS = f"check {_CREDENTIALS}: they are unknown to this service, wrong, or have expired"
_NO_CREDENTIALS = f"set {_CREDENTIALS}, or run where boto3 finds a role"
_PERMISSIONS = "allow s3:GetObject and s3:ListBucket, for publishing s3:PutObject, for `farm gc` s3:DeleteObject"
_FIXES = {
    "NoSuchBucket": ("there is no such bucket", "create the bucket, or correct FARM_STORE"),
    "InvalidBucketName": ("this is no name of a bucket", "correct FARM_STORE"),
    "AccessDenied": ("the credentials lack a permission", _PERMISSIONS),
    "AllAccessDisabled": ("the credentials lack a permission", _PERMISSIONS),
    "403": ("the credentials lack a permission, or are wrong", _PERMISSIONS),
    "InvalidAccessKeyId": ("the service does not know the access key", _WRONG_CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key does not fit the access key", _WRONG_CREDENTIALS),
    "ExpiredToken": ("the credentials have expired", _WRONG_CREDENTIALS),
    "InvalidToken": ("the session token is wrong", _WRONG_CREDENTIALS),
    "TokenRefreshRequired": ("the credentials have expired", _WRONG_CREDENTIALS),
    "RequestTimeTooSkewed": ("the clocks of this machine and of the service differ too much", "set the clock"),
    "PermanentRedirect": ("the bucket is in another region", "add ?region=... to FARM_STORE"),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", "add ?region=... to FARM_STORE"),
    "IllegalLocationConstraintException": ("the bucket is in another region", "add ?region=... to FARM_STORE"),
    "NotImplemented": ("the service lacks conditional writes", "use a service that has them (docs/stores.md)"),
    "BadDigest": ("the content was changed on the way", "run the command again"),
    "QuotaExceeded": ("the service is full", "`farm gc --shared` removes what nothing needs"),
}
_SETTINGS = frozenset(
    {
        "CredentialRetrievalError",
        "MissingDependencyException",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)


def not_there(error: Exception) -> bool:
    """Whether an error says that an object does not exist (a bucket that does not is another matter)."""
    return code_of(error) in _MISSING


def translated(error: Exception, doing: str, where: str) -> FarmError | None:
    """The farm's error for one of boto3; None for others, which are passed on as they are."""
    if isinstance(error, FarmError):
        return None
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _refused(error, doing, where)
    if isinstance(error, exceptions.SSLError):
        return StoreError(
            f"{doing}: no secure connection", where=where, fix="check the endpoint's certificate and AWS_CA_BUNDLE"
        )
    kind = type(error).__name__
    if kind in _SETTINGS:
        return StoreError(f"{doing}: no credentials to be had ({kind})", where=where, fix=_NO_CREDENTIALS)
    if isinstance(
        error, exceptions.ConnectionError | exceptions.HTTPClientError | exceptions.IncompleteReadError | OSError
    ):
        return UnavailableError(
            f"{doing}: the service does not answer ({kind})", where=where, fix="is the endpoint right, and up?"
        )
    if isinstance(error, exceptions.BotoCoreError | ValueError):
        return StoreError(f"{doing}: {kind}", where=where, fix="check the bucket, endpoint and region of FARM_STORE")
    return None


def _refused(error: Exception, doing: str, where: str) -> FarmError:
    code = code_of(error)
    status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _FIXES:
        what, fix = _FIXES[code]
        return StoreError(f"{doing}: {what} ({code})", where=where, fix=fix)
    if code in _PASSING or status >= 500 or status == 429:
        return UnavailableError(f"{doing}: the service says {code or status}", where=where, fix="run it again later")
    return StoreError(f"{doing}: the service refuses: {code or status}", where=where, fix="see the service's own log")


def code_of(error: Exception) -> str:
    """What the service calls its refusal; empty if it is none of a service."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
