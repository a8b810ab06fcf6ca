import { fromJson, toBinary, type JsonObject } from '@bufbuild/protobuf';
import { ErrorDetailSchema } from '@zitadel/proto/zitadel/message_pb.js';

export const { typeName } = ErrorDetailSchema;

/** A `zitadel.v1.ErrorDetail` as bytes. */
export function errorDetail(detail: JsonObject): Uint8Array {
  return toBinary(ErrorDetailSchema, fromJson(ErrorDetailSchema, detail));
}
