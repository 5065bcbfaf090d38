/**
 * Why a well-formed request did nothing, in words for a person. Extends Error, not GraphQLError: one that a field forgot to
 * declare is masked, not leaked.
 */
export abstract class Refusal extends Error {}

export interface InputIssue {
  /** The input's field, such as `label`. */
  path: string
  message: string
}

export class InvalidInput extends Refusal {
  readonly issues: InputIssue[]
  constructor(issues: InputIssue[]) {
    super(issues.length === 1 && issues[0] ? issues[0].message : `${issues.length} fields need another value.`)
    this.issues = issues
  }
}
